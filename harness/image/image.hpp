// An entry: an ELF image and its description, loaded, checked against each other and resolved to addresses.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "image/description.hpp"
#include "image/guest_address.hpp"
#include "image/instruction.hpp"

namespace framefold {

/// A PT_LOAD segment: page-aligned for mapping, contents zero-filled to its memory size.
struct LoadSegment {
  GuestAddress address;
  std::vector<std::uint8_t> bytes;
  bool writable = false;
  bool executable = false;
};

/// sizeof(struct vcpu_info) in both of Xen's ABIs: xen/include/public/xen.h, "64 bytes (x86)".
inline constexpr std::uint64_t kVcpuInfoSize = 64;

struct Symbol {
  std::string name;
  GuestAddress address;
  std::uint64_t size = 0;
  bool global = false;  // a global one wins over local ones of its name
};

/// "scrit+0x82": an address by the nearest preceding symbol that the description names.
struct Location {
  std::string_view symbol;  // lives as long as the entry
  std::uint64_t offset = 0;
};

struct StackRange {
  GuestRange range;
};

/// A vector with its addresses.
struct Vector {
  VectorDescription description;
  GuestAddress address;
  GuestAddress handler;
};

/// A function that is modelled by its description.
struct Call {
  CallDescription description;
  GuestAddress address;
  std::optional<GuestAddress> sets;
};

struct KnownRow {
  KnownDescription description;
  GuestAddress first;
  GuestAddress last;  // inclusive
};

/// An argued fault that is planted at an address.
struct EquivalentRow {
  std::size_t row = 0;  // in the description, ...
  std::size_t at = 0;   // ... and which of its places
  GuestAddress address;
};

struct Entry {
  Description description;
  std::vector<LoadSegment> segments;
  std::vector<Symbol> symbols;  // all of the image's, sorted by address, then name
  std::vector<Symbol> named;    // those that the description names, sorted by address; what locations are given in.
                                // Of several at one address only the one that the description names first
  std::vector<Vector> vectors;  // as in the description
  CodeRange text;               // the executable segment with the entry code, without the hypercall page
  std::vector<Instruction> instructions;     // of `text`, in order, decoded linearly between symbols
  std::vector<std::int32_t> instruction_at;  // index into `instructions` by address - text.begin; -1 where none starts
  StackRange thread_stack;
  std::optional<StackRange> interrupt_stack;
  std::optional<GuestAddress> interrupt_pointer;  // a word with an address near the interrupt stack's end
  std::optional<StackRange> kernel_stack;
  std::optional<GuestAddress> nesting_count;
  GuestRange region;    // empty where the description has none
  GuestRange critical;  // the region; without one, what was seen of the window (check/find_window.hpp)
  std::optional<GuestAddress> restore_end;
  std::optional<GuestRange> table;  // region.size() bytes
  GuestAddress hypercall_page;
  GuestAddress vcpu_info;  // the pointer word, or this vCPU's structure, as the description says; 0: neither
  std::optional<GuestAddress> work_flag;
  std::vector<GuestRange> counters;
  std::vector<Call> calls;                  // as in the description
  GuestAddress gs_base;                     // 0 where none
  GuestAddress fs_base;                     // likewise
  std::vector<GuestAddress> segment_bases;  // as in the description
  std::vector<KnownRow> known;
  std::vector<EquivalentRow> equivalent_mutants;  // one a place
  std::vector<std::string> zeroed;  // data that no object defines and nothing describes: kUndescribedData zeroed bytes
  std::vector<std::string> absent;  // weak symbols that no object defines: at address 0

  Width width() const { return description.width; }
  const std::string& name() const { return description.name; }
  /// The vector that Xen enters for events.
  const Vector& event() const { return vectors.front(); }
};

/// Loads an entry from memory. `elf_name` and `description.file` name the inputs in messages. Throws InputError.
std::unique_ptr<Entry> load_entry(Description description, std::span<const std::uint8_t> elf,
                                  const std::string& elf_name);

struct ImageFile;
/// Loads an entry from what its description names. Functions that nobody defines or describes name themselves where
/// they are reached. Throws InputError.
std::unique_ptr<Entry> load_image(Description description, const ImageFile& image);

/// Reads `entry.toml` at `path` and the image that it names. Throws InputError.
std::unique_ptr<Entry> load_entry_file(const std::string& path);

/// A symbol by its name among `symbols`: the global one, else the only local one. Nothing where there is none, or where
/// several local ones share the name.
std::optional<GuestAddress> find_symbol(std::span<const Symbol> symbols, std::string_view name);

/// Nearest preceding symbol that the description names (the hypercall page included); nothing below the first.
std::optional<Location> locate(const Entry& entry, GuestAddress address);
/// "scrit+0x82", "scrit" at offset 0, a bare hexadecimal address where no symbol precedes.
std::string format_location(const Entry& entry, GuestAddress address);
/// Parses "symbol", "symbol+0x12", "symbol+18"; any symbol of the image. Nothing where it does not name one.
std::optional<GuestAddress> parse_location(const Entry& entry, std::string_view text);
/// The instruction of the entry's text that starts at `address`; nullptr where none does. Constant time.
inline const Instruction* find_instruction(const Entry& entry, GuestAddress address) {
  const std::uint64_t offset = address - entry.text.begin;
  if (offset >= entry.instruction_at.size() || entry.instruction_at[offset] < 0) return nullptr;
  return &entry.instructions[static_cast<std::size_t>(entry.instruction_at[offset])];
}

}  // namespace framefold
