// A virtual address in the guest. A type of its own, so that it cannot be taken for a host pointer or for an offset.
#pragma once

#include <compare>
#include <cstdint>

namespace framefold {

struct GuestAddress {
  std::uint64_t value = 0;

  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes the 0 inside a defaulted <=> for a pointer
  friend constexpr auto operator<=>(GuestAddress, GuestAddress) = default;
  friend constexpr GuestAddress operator+(GuestAddress a, std::uint64_t offset) { return {a.value + offset}; }
  friend constexpr GuestAddress operator-(GuestAddress a, std::uint64_t offset) { return {a.value - offset}; }
  friend constexpr std::uint64_t operator-(GuestAddress a, GuestAddress b) { return a.value - b.value; }
};

/// A half-open range of guest addresses.
struct GuestRange {
  GuestAddress begin;
  GuestAddress end;

  constexpr bool contains(GuestAddress a) const { return begin <= a && a < end; }
  constexpr std::uint64_t size() const { return end - begin; }
};

/// Code with, perhaps, the hypercall page inside, which is Xen's.
struct CodeRange : GuestRange {
  GuestRange page;  // empty where it lies elsewhere

  constexpr bool contains(GuestAddress a) const { return GuestRange::contains(a) && !page.contains(a); }
};

}  // namespace framefold
