// The description of an entry: what `entry.toml` says about an image. Text in, plain data out; no symbol is resolved
// here.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "image/registers.hpp"
#include "image/width.hpp"

namespace framefold {

/// Something a person handed us is wrong: one line that names file, place and what was expected. Exit status 2.
class InputError : public std::runtime_error {
 public:
  /// Control characters in `line` (names in bad files hold anything) become '?': it stays one line, and harmless to a
  /// terminal. Of a line that a value from a file has made very long the middle is left out.
  explicit InputError(std::string line);
};

/// What one delivery is. The order is that of the kinds in a scenario.
enum class DeliveryKind : std::uint8_t { event, exception, nmi };
inline constexpr std::size_t kDeliveryKindCount = 3;
std::string_view name_of(DeliveryKind kind);

/// One way into the entry code: the event callback, an exception stub, the NMI stub.
struct VectorDescription {
  std::string key;   // where the description says it: "vectors[2]" or "nmi"
  std::string name;  // what reports call it: "event", "page_fault", "nmi"
  DeliveryKind kind = DeliveryKind::event;
  std::uint8_t number = 0;    // exception vector (SDM Vol. 3, table 6-1); 2 for the NMI, 0 for the event callback
  std::string symbol;         // where Xen enters
  bool error_code = false;    // Xen pushes one (exceptions only)
  bool masks_events = false;  // TI_GET_IF: delivery sets evtchn_upcall_mask. Always true for event and NMI
  bool common_exit = true;    // ends in the same exit path as the event callback
  bool marks = false;         // NMI only: its modelled handler sets RFLAGS bit 31 in the saved frame
  std::string handler;        // the C handler that it calls
  std::optional<std::int64_t> returns = std::nullopt;  // what RAX holds behind it; none: what the code must not rely on
};

/// Where a handler finds its arguments.
struct HandlerDescription {
  std::string symbol;           // the event handler
  std::optional<Gpr> argument;  // register that holds the frame's address; none: the first stack slot
  std::optional<Gpr>
      error_code_argument;             // register that holds an exception's error code; none: not passed by register
  std::uint32_t stack_alignment = 16;  // bytes; oracle.md, `handler-abi`
  std::optional<std::int64_t> returns = std::nullopt;  // where a vector says nothing else
};

struct StackDescription {
  std::string symbol;      // lowest address
  std::uint64_t size = 0;  // bytes
};

struct StacksDescription {
  StackDescription thread;                    // where a kernel context runs
  std::optional<StackDescription> interrupt;  // the stack that the entry switches to
  std::string interrupt_pointer;              // a word with an address near its end; framefold fills it. Empty: none
  std::optional<StackDescription> kernel;     // its top is kernel_sp, the stack for entries from user mode
  // The 32-bit word that says on which stack the guest is, and its value in a context on each.
  std::string nesting_count;
  std::int64_t on_thread = -1;
  std::int64_t on_interrupt = 0;
};

struct RegionDescription {
  std::string start;        // first instruction of the critical region
  std::string end;          // first byte behind it
  std::string restore_end;  // single-register folds: from here on all registers are back. Empty: none
  std::string table;        // byte tables: the fixup table. Empty: none
};

/// How the guest finds its vcpu_info: through a pointer variable, or as a structure inside the image. Neither is set
/// where its entry code does not touch it.
struct VcpuInfoDescription {
  std::string pointer;       // a word that holds the address; framefold fills it
  std::string symbol;        // the structure itself
  std::uint32_t index = 0;   // which of several, one a vCPU, ...
  std::uint32_t stride = 0;  // ... that lie so many bytes apart
  std::uint64_t offset() const { return std::uint64_t{index} * stride; }
};

/// A data segment of the guest's own, in the GDT.
struct SegmentDescription {
  std::uint16_t selector = 0;
  std::string base;
};

struct WorkFlagDescription {
  std::string symbol;
  std::uint32_t mask = 0;  // bits that an event handler sets in the 32-bit word to ask for work
};

struct CounterDescription {
  std::string symbol;
  std::uint64_t size = 0;  // bytes that are allowed to differ at the end
};

/// What relocatable objects use and do not define: zeroed memory.
struct DataDescription {
  std::string symbol;
  std::uint64_t size = 0;  // bytes
};

/// What the entry calls besides the handlers: framefold does what is described instead of running the function.
struct CallDescription {
  std::string symbol;
  std::int64_t returns = 0;  // what RAX holds behind it, where `clobbers` or `has_value`
  bool has_value = false;    // the description says `returns`
  bool clobbers = true;      // it overwrites what the ABI lets a C function overwrite
  std::string sets;          // a 32-bit word that it stores to. Empty: none
  std::uint32_t to = 0;      // what it stores there
  bool takes_event = false;  // it unmasks events, takes one, and makes the mask what it was
  bool never = false;        // to reach it is an error of the guest's
};

/// A slot of the frame that a handler gets.
struct FrameSlot {
  std::string
      name;  // a register of the width, "rip", "cs", "rflags", "rsp", "ss", or any other name (kept, not compared)
  std::uint32_t offset = 0;  // bytes from the frame's base
};

struct FrameDescription {
  std::uint32_t size = 0;  // bytes, with the words that Xen pushes only for user mode
  std::vector<FrameSlot> slots;
};

/// Conditions of a `known` row, all of which must hold. They speak of the activation that the cause lies in: the
/// youngest live one.
enum class KnownCondition : std::uint8_t {
  marked,  // its frame carries the marker, set by a modelled NMI handler
  if_set,  // its frame says IF=1
  if_clear,
  user,  // it interrupted user mode
  kernel,
  on_thread,     // it interrupted kernel mode on the thread stack
  on_interrupt,  // ... on the interrupt stack
  event,         // what it is
  exception,
  nmi,
  null_ds,        // it interrupted a context with a null DS
  odd_pending,    // evtchn_upcall_pending is neither 0 nor 1
  rip_in_region,  // it interrupted an RIP between the region's labels
  misaligned,     // handler-abi: it is the stack pointer that the handler starts with, off by whole words
};
inline constexpr std::size_t kKnownConditionCount = 14;
std::string_view name_of(KnownCondition condition);
std::optional<KnownCondition> known_condition_from_name(std::string_view name);

struct KnownDescription {
  std::string kind;   // name of a violation kind
  std::string first;  // "symbol+0x12": first boundary
  std::string last;   // last boundary, inclusive
  std::vector<KnownCondition> when;
  std::string why;
  std::string reproducer;  // file name below reproducers/<entry>/
};

/// Planted faults that are argued to change nothing that counts: each of `faults` at each place.
struct EquivalentDescription {
  /// What of its graph is the original's: all ways between what is seen, or, where it takes another way that is as
  /// good, what is seen at their ends.
  enum class Same : std::uint8_t { ways, ends };
  std::vector<std::string> at;  // "symbol+0x12"
  std::vector<std::string> faults;
  std::string why;
  Same same = Same::ways;
};

/// A place in a description file, counted from 1.
struct SourcePlace {
  unsigned line = 1;
  unsigned column = 1;
};

struct Description {
  std::string file;  // where it came from, for messages
  std::string name;
  std::string summary;
  std::string image;  // path of the ELF, relative to the description
  Width width = Width::k64;
  bool user_mode = false;  // `modes` lists "user"
  bool nests = false;
  std::vector<VectorDescription> vectors;  // [0] is the event callback; the NMI, where there is one, comes last
  HandlerDescription handler;
  StacksDescription stacks;
  RegionDescription region;
  std::string hypercall_page;
  VcpuInfoDescription vcpu_info;
  std::optional<WorkFlagDescription> work_flag;
  std::vector<CounterDescription> counters;  // `entry_data.counters`
  std::vector<CallDescription> calls;
  std::vector<DataDescription> data;
  std::vector<std::string> symbols;          // further symbols that locations are given in
  std::string gs_base;                       // symbol that the kernel's GS base points at. Empty: GS base 0
  std::string fs_base;                       // likewise of FS
  std::vector<SegmentDescription> segments;  // of the guest's own, on 32-bit
  std::vector<std::uint8_t> pending_values = {1};
  FrameDescription frame;
  std::vector<KnownDescription> known;
  std::vector<EquivalentDescription> equivalent_mutants;
  /// Where each key and list element stands, by its dotted path ("vectors[1].symbol"), for messages about the image.
  std::map<std::string, SourcePlace, std::less<>> positions;
};

/// "file:line:column: key: text", in one line. Where the file does not say `key`, the place is that of what surrounds
/// it.
InputError description_error(const Description& description, std::string_view key, std::string_view text);

/// A location as people write it: "symbol", "symbol+0x12", "symbol+18".
struct LocationText {
  std::string_view symbol;
  std::uint64_t offset = 0;
};
/// Form only: no symbol is looked up. Nothing where `text` has another form.
std::optional<LocationText> split_location(std::string_view text);
/// Whether a description can name a symbol so.
bool is_symbol_name(std::string_view text);

/// How a key's value must look.
enum class KeyType : std::uint8_t {
  string,      // one line of text, not empty
  word,        // lower-case letters, digits, '-' and '_': what becomes part of a signature
  file_name,   // a name without folders
  symbol,      // an assembler symbol
  data_place,  // one, or one with an offset: a member of a structure
  gpr,         // a general-purpose register of the width, or one of `choices`
  boolean,
  integer,         // `minimum` to `maximum`
  integer_choice,  // one of `choices`, an integer
  choice,          // one of `choices`, a string
  choice_list,     // distinct `choices`; as in every list but integer_list, `minimum` to `maximum` elements
  symbol_list,
  boundary_list,  // of "symbol+offset"
  text_list,      // each a line of text, not empty
  integer_list,   // not empty, distinct, each `minimum` to `maximum`
  table,
  table_list,
  slot_table,  // names of the writer's choice, each with an integer `minimum` to `maximum`
};

/// The value of a line that `framefold new` could not guess: whatever the key, a person has to replace it.
inline constexpr std::string_view kFillIn = "FILL-IN";

/// One row a key: drives parser, checks, messages, the manual (`framefold entries --keys`) and the tests of bad input.
struct KeySpec {
  std::string_view path;  // "stacks.thread.symbol"; "[]" after a name is each element of an array of tables
  KeyType type;
  bool required;         // within its parent, where the parent is present
  std::int64_t minimum;  // inclusive bounds; of what: see KeyType
  std::int64_t maximum;
  std::string_view choices;                              // words separated by '|'
  std::string_view help;                                 // one line for the manual
  std::optional<std::int64_t> otherwise = std::nullopt;  // integer: the value of a key that is not said
};
std::span<const KeySpec> description_keys();

/// Parses and checks a description. `file` names it in messages.
/// Throws InputError: "file:line:column: key: what was expected".
Description parse_description(std::string_view text, const std::string& file);

}  // namespace framefold
