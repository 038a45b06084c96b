// Counts heap allocations of a test binary, to show that a path makes none. Include in exactly one source file of a
// binary.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

namespace framefold::test {
inline std::size_t allocations = 0;

/// Whether an allocation is counted at all: a call, not a new-expression, so that no compiler may leave it out.
inline bool counts_allocations() {
  const std::size_t before = allocations;
  ::operator delete(::operator new(1));
  return allocations == before + 1;
}
}  // namespace framefold::test

// Not inlined: GCC 12 otherwise takes malloc and free for each other's mismatch (-Wmismatched-new-delete).
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++framefold::test::allocations;
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
// std::stable_sort asks with this one.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  ++framefold::test::allocations;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }
