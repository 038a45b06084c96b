// Linked into the command and every test and fuzz binary. Unicorn 2.1.1 loses 32 bytes, one GArray, with each
// engine that is closed; what closes engines must not fail for that, nor say so. Anything else that leaks is reported.
// (Where tests are built with LeakSanitizer, machine/lost_array.cpp leaves nothing to suppress.)

// LeakSanitizer's names for them.
extern "C" const char* __lsan_default_suppressions();  // NOLINT
extern "C" const char* __lsan_default_options();       // NOLINT

extern "C" const char* __lsan_default_suppressions() { return "leak:g_array_new\n"; }  // NOLINT
extern "C" const char* __lsan_default_options() { return "print_suppressions=0"; }     // NOLINT
