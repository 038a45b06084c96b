// What Xen and the guest share: the vCPU's upcall bytes and the page of 2-level event channels, of either width.
#pragma once

#include <cstdint>
#include <optional>

#include "machine/guest_memory.hpp"
#include "xen/abi.hpp"

namespace framefold {

/// An event channel port.
struct Port {
  unsigned number = 0;
  friend constexpr auto operator<=>(Port, Port) = default;
};

/// What a raise did.
enum class Raise : std::uint8_t {
  nothing,  // the port was pending already, is masked, or its selector bit was set
  marked,   // evtchn_upcall_pending was already non-zero
  kicked,   // evtchn_upcall_pending became non-zero: Xen makes the vCPU run or notice
};

/// A view in host memory. A guest may register a vcpu_info of its own (VCPUOP_register_vcpu_info): then that structure
/// lies apart from the page.
class SharedInfo {
 public:
  SharedInfo(std::uint8_t* vcpu_info, std::uint8_t* page, const Abi& abi)
      : vcpu_info_(vcpu_info), page_(page), abi_(&abi) {}

  std::uint8_t& upcall_pending() const { return vcpu_info_[abi_->upcall_pending]; }
  std::uint8_t& upcall_mask() const { return vcpu_info_[abi_->upcall_mask]; }
  std::uint64_t pending_sel() const { return load_word(vcpu_info_ + abi_->pending_sel, abi_->word); }
  void set_pending_sel(std::uint64_t value) const { store_word(vcpu_info_ + abi_->pending_sel, value, abi_->word); }

  /// evtchn_upcall_mask and the padding behind it, as Xen copies them into the CS slot of a bounce frame: `bytes`
  /// bytes.
  std::uint64_t mask_and_padding(unsigned bytes) const { return load_word(vcpu_info_ + abi_->upcall_mask, bytes); }
  std::uint64_t cr2() const { return load_word(vcpu_info_ + abi_->cr2, abi_->word); }
  void set_cr2(std::uint64_t value) const { store_word(vcpu_info_ + abi_->cr2, value, abi_->word); }

  bool port_pending(Port port) const { return bit(abi_->evtchn_pending, port); }
  bool port_masked(Port port) const { return bit(abi_->evtchn_mask, port); }
  void set_port_pending(Port port, bool value) const { set_bit(abi_->evtchn_pending, port, value); }
  void set_port_masked(Port port, bool value) const { set_bit(abi_->evtchn_mask, port, value); }

  /// Ports of a selector word that are pending and not masked.
  std::uint64_t ready_ports(unsigned word) const {
    const std::size_t at = std::size_t{word} * abi_->word;
    return load_word(page_ + abi_->evtchn_pending + at, abi_->word) &
           ~load_word(page_ + abi_->evtchn_mask + at, abi_->word);
  }
  /// The same, and clears their pending bits.
  std::uint64_t take_ports(unsigned word) const {
    std::uint8_t* pending = page_ + abi_->evtchn_pending + std::size_t{word} * abi_->word;
    const std::uint64_t ready = ready_ports(word);
    store_word(pending, load_word(pending, abi_->word) & ~ready, abi_->word);
    return ready;
  }

  unsigned word_bits() const { return abi_->word * 8; }
  const Abi& abi() const { return *abi_; }

 private:
  bool bit(std::uint32_t bitmap, Port port) const { return (page_[bitmap + port.number / 8] >> (port.number % 8)) & 1; }
  void set_bit(std::uint32_t bitmap, Port port, bool value) const {
    std::uint8_t& byte = page_[bitmap + port.number / 8];
    const auto mask = static_cast<std::uint8_t>(1U << (port.number % 8));
    byte = static_cast<std::uint8_t>(value ? byte | mask : byte & ~mask);
  }

  std::uint8_t* vcpu_info_;
  std::uint8_t* page_;
  const Abi* abi_;
};

/// Marks the vCPU (common/event_2l.c, vcpu_mark_events_pending): all that Xen does where it wants an upcall and has no
/// port for it, as at the end of VCPUOP_register_vcpu_info; and all that is left of a raise whose port something else
/// has taken since. `value` as for `raise_event`.
Raise mark_events_pending(const SharedInfo& shared, std::uint8_t value);

/// Raises an event (common/event_2l.c, evtchn_2l_set_pending). `value` is what is or-ed into evtchn_upcall_pending: Xen
/// writes 1, other values exist only where a description lists them.
Raise raise_event(const SharedInfo& shared, Port port, std::uint8_t value);

/// The first of `ports` ports that is pending and not masked, and that nothing shows: its selector bit is clear, or
/// evtchn_upcall_pending is. Xen sets neither again for a port that is pending already, and neither Xen nor a handler
/// leaves one so.
std::optional<Port> unshown_port(const SharedInfo& shared, unsigned ports);

/// EVTCHNOP_unmask (common/event_channel.c, evtchn_unmask; event_2l.c, evtchn_2l_unmask).
Raise unmask_port(const SharedInfo& shared, Port port);

}  // namespace framefold
