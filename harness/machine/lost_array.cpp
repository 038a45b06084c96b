// Unicorn loses one GArray with each engine that is closed (test/lsan_suppressions.cpp). To find out that a leak is
// suppressed, LeakSanitizer starts a symbolizer, in each process of the tests. Here it is told when the array is made.
#include <sanitizer/lsan_interface.h>

// The linker's names for what it wraps (--wrap).
extern "C" void* __real_g_array_new(int zero_terminated, int clear, unsigned element_size);  // NOLINT
extern "C" void* __wrap_g_array_new(int zero_terminated, int clear, unsigned element_size);  // NOLINT

extern "C" void* __wrap_g_array_new(int zero_terminated, int clear, unsigned element_size) {  // NOLINT
  const __lsan::ScopedDisabler no_leak;
  return __real_g_array_new(zero_terminated, clear, element_size);
}
