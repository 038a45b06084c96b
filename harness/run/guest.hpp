// A guest: an entry's image in memory, what framefold adds to it, and the CPU that runs it. Reset touches what a run
// touched.
//
// Beside the image lie, at fixed addresses above it: the page shared with Xen, the page of the modelled handlers (their
// `ret` and the place where a nested event interrupts them), the page on which kernel and user contexts are
// interrupted, a user stack, and the page of what modelled handlers execute.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "image/image.hpp"
#include "machine/cpu.hpp"
#include "machine/guest_memory.hpp"
#include "scenario/context_places.hpp"
#include "scenario/scenario.hpp"
#include "xen/shared_info.hpp"
#include "xen/vcpu.hpp"

namespace framefold {

/// framefold's own places in the guest's address space.
namespace layout {
inline constexpr GuestAddress kGdt{0x08000000};
inline constexpr GuestAddress kSharedInfo{0x08020000};
inline constexpr GuestAddress kHandlerPage{0x08022000};
/// `ret` of the modelled handler of the entry's vector number `index`, behind what loads the described value.
constexpr GuestAddress handler_return(std::size_t index) { return kHandlerPage + 32 * index; }
/// Where a described call of the entry's goes on: its value, if it has one, and `ret`; and where its own event
/// interrupts it.
constexpr GuestAddress call_return(std::size_t index) { return kHandlerPage + 2048 + 32 * index; }
constexpr GuestAddress call_nested(std::size_t index) { return call_return(index) + 16; }
inline constexpr GuestAddress kHandlerNested = kHandlerPage + 16;  // interrupted here by the handler's own nested event
/// Code that overwrites what a modelled handler may overwrite, then jumps to where the word handler_target() says. No
/// boundary: it is the handler's inside, above all that has any.
constexpr GuestAddress clobber_page(Width width) { return resume_page(width, GuestMode::kernel) + 0x2000; }
constexpr GuestAddress handler_target(Width width) { return clobber_page(width) + 0x800; }
/// Of user mode. Each width has addresses of which the highest bits count (as Linux has: 0xbfff0000, 0x7ffd00000000),
/// so that code which keeps less of the user's stack pointer is seen.
inline constexpr GuestAddress kUserStack32{0xf4028000};
inline constexpr GuestAddress kUserStack64{0x7ffd'f4028000};
inline constexpr std::uint64_t kUserStackSize = 4096;
constexpr GuestRange user_stack(Width width) {
  const GuestAddress begin = width == Width::k64 ? kUserStack64 : kUserStack32;
  return {begin, begin + kUserStackSize};
}
/// Distance of a context's stack pointer, and of kernel_sp, from its stack's top: what lies between must stay as it is.
inline constexpr std::uint64_t kAboveStack = 256;
inline constexpr std::uint64_t kPage = GuestMemory::kPageSize;
/// No image may lie there.
inline constexpr std::array kOwn{
    GuestRange{kGdt, kHandlerPage + kPage},
    GuestRange{resume_page(Width::k32, GuestMode::kernel), kUserStack32 + kUserStackSize},
    GuestRange{resume_page(Width::k64, GuestMode::kernel), clobber_page(Width::k64) + kPage},
    GuestRange{resume_page(Width::k64, GuestMode::user), kUserStack64 + kUserStackSize},
    GuestRange{twins(GuestMode::kernel), twins(GuestMode::kernel) + kTwinsSize},
    GuestRange{twins(GuestMode::user), twins(GuestMode::user) + kTwinsSize}};
}  // namespace layout

/// GS base of user mode: nothing maps it, so that kernel code that runs on it faults.
inline constexpr std::uint64_t kUserGsBase = 0x00057000;
/// Likewise of FS, which Xen leaves to user code: whatever displacement is added to it. On 32-bit, of both, by segments
/// of framefold's: where Xen is.
inline constexpr std::uint64_t kUserFsBase = 0x7f10'00057000;
inline constexpr GuestAddress kUserBase32{0xf8057000};

/// Fixed bytes for memory that nobody may rely on.
inline constexpr std::uint8_t kDeadStackByte = 0xd5;

/// A byte of the entry's data that is not what it was first.
struct DataChange {
  GuestAddress address;
  std::uint8_t value = 0;
  friend bool operator==(const DataChange&, const DataChange&) = default;
};

enum class StackId : std::uint8_t { thread, interrupt, kernel, user };
inline constexpr std::size_t kStackCount = 4;

class Guest {
 public:
  /// `hook` is called with `self` before each instruction, wherever it lies. Without one the guest is not there to run.
  explicit Guest(const Entry& entry, BoundaryHook hook = nullptr, void* self = nullptr);

  /// All memory back to the first state: image data, shared page, the touched part of each stack.
  void reset();

  /// A 32-bit word of the image's own data that from here on is first this value: it is stored now and by each reset.
  void set_first_data(GuestAddress address, std::uint32_t value);

  /// Whether what the guest stores there may go unsaid: each reset restores these bytes, or there are none.
  bool restores_always(GuestAddress address, std::uint64_t size) const;

  /// Says that the guest stores `size` bytes at `address`.
  void note_store(GuestAddress address, std::uint64_t size);
  /// Says that Xen, for the guest, has set or cleared bits of a port, which may be one of those that runs do not use.
  void note_port();
  /// Says that the guest's stack pointer lies in no stack: its pushes may be anywhere.
  void note_lost_stack();
  /// Says that the stack that ends at or contains `top` may have been written in the `depth` bytes below.
  void note_stack_write(GuestAddress top, std::uint64_t depth);
  /// Where the code on the clobber page goes on.
  void set_handler_target(GuestAddress target) { store_word(handler_target_, target.value, word_size(entry_.width())); }
  /// Fills `size` bytes below `top` with kDeadStackByte, as far as they are writable.
  void kill_stack_below(GuestAddress top, std::uint64_t size);

  /// The stack that an address lies in.
  std::optional<StackId> stack_of(GuestAddress address) const;
  const GuestRange& stack_range(StackId id) const { return stacks_[static_cast<std::size_t>(id)].range; }
  bool has_stack(StackId id) const { return stacks_[static_cast<std::size_t>(id)].host != nullptr; }
  /// Address of the first byte at or above `from` of the stack that differs from its first value.
  std::optional<GuestAddress> first_change(StackId id, GuestAddress from) const;
  /// Address of the first byte of the image's own data (stacks, counters and what is shared with Xen left out) that
  /// differs from its first value.
  std::optional<GuestAddress> first_data_change() const;

  const Entry& entry() const { return entry_; }
  Cpu& cpu() { return *cpu_; }
  const Cpu& cpu() const { return *cpu_; }
  GuestMemory& memory() { return memory_; }
  const GuestMemory& memory() const { return memory_; }
  const SharedInfo& shared() const { return shared_; }
  /// Guest address of evtchn_upcall_mask.
  GuestAddress mask_address() const { return vcpu_info_address_ + shared_.abi().upcall_mask; }

  /// The iret stub's instructions in the hypercall page, in order.
  std::span<const Instruction> stub() const { return stub_; }
  GuestRange stub_range() const { return stub_range_; }

  // For exploration (snapshot.cpp).
  /// Host bytes of a stack from an address to its end; nothing where the address lies outside.
  std::span<std::uint8_t> stack_from(StackId id, GuestAddress from) const;
  /// First contents of the same bytes.
  const std::uint8_t* first_stack_bytes(StackId id, GuestAddress from) const;
  /// The lowest address of a stack that may differ from its first contents.
  GuestAddress touched_from(StackId id) const { return stacks_[static_cast<std::size_t>(id)].dirty; }
  /// What differs in the image's own data, counters included, and on the shared page beside SharedBytes.
  void data_changes(std::vector<DataChange>& changes) const;
  void apply(const DataChange& change);
  /// What of the shared page runs change. A store to any other of its bytes has to be said, as one to data.
  struct SharedBytes {
    std::array<std::uint8_t, 32> vcpu_info{};
    std::array<std::uint8_t, kPortCount / 8> pending{};
    std::array<std::uint8_t, kPortCount / 8> mask{};
    friend bool operator==(const SharedBytes&, const SharedBytes&) = default;
  };
  SharedBytes shared_bytes() const;
  void set_shared_bytes(const SharedBytes& bytes);

  /// Adds the touched memory to a hash (FNV-1a).
  void hash_memory(std::uint64_t& hash) const;

 private:
  struct Stack {
    GuestRange range;
    std::uint8_t* host = nullptr;
    std::vector<std::uint8_t> first;  // first contents
    GuestAddress dirty;               // lowest address that may differ
  };
  enum class DataUse : std::uint8_t {
    judged,   // the entry's own: compared when the context resumes
    counter,  // may be written at any time: always reset
    shared,   // with Xen, and nothing that entry code or the model has to do with
  };
  struct Data {
    GuestRange range;
    std::uint8_t* host = nullptr;
    std::vector<std::uint8_t> first;
    DataUse use = DataUse::judged;
    std::uint64_t dirty_begin = 0;  // offsets of what may differ: nothing where begin >= end
    std::uint64_t dirty_end = 0;

    void forget_stores();
  };

  void map_image();
  void map_own_pages();
  void map_context_places();
  void write_clobber_code();
  void write_return(std::uint8_t* at, std::optional<std::int64_t> value) const;
  void add_stack(StackId id, GuestRange range);
  void add_data(GuestRange range, DataUse use);
  void split_data();
  void add_shared_data();
  void bind_pointers();

  const Entry& entry_;
  GuestMemory memory_;
  SharedInfo shared_;
  GuestAddress vcpu_info_address_;
  std::uint8_t* vcpu_info_ = nullptr;  // at the start of the shared page, or a structure of the image
  std::uint8_t* shared_page_ = nullptr;
  std::uint8_t* handler_target_ = nullptr;
  std::unique_ptr<Cpu> cpu_;
  std::array<Stack, kStackCount> stacks_;
  std::vector<Data> data_;
  std::vector<Instruction> stub_;
  GuestRange stub_range_;
};

}  // namespace framefold
