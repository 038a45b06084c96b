// DebugSession: what the debugger writes, now and when the run is repeated.
#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "debug/debug_session.hpp"
#include "report/place.hpp"

namespace framefold {

bool DebugSession::edit_register(unsigned number, std::uint64_t value) {
  if (at_end_ || !view_.writable(number, value)) {
    return false;
  }
  GuestEdit edit;
  edit.position = position_;
  edit.register_number = number;
  edit.value = value;
  keep(edit);
  apply(edit);
  return true;
}

/// From the first on, the run is the guest's and the debugger's.
void DebugSession::keep(GuestEdit edit) {
  edits_.push_back(std::move(edit));
  if (edits_.size() == 1) {
    oracle_.execution().set_tolerant(true);
    note_ = fmt::format("framefold: {} written: the run goes on as the guest makes it, without a verdict\n",
                        first_written());
    std::fputs(note_.c_str(), stderr);
  }
}

std::string DebugSession::first_written() const {
  if (edits_.empty()) {
    return {};
  }
  const GuestEdit& first = edits_.front();
  const std::string what = first.register_number ? std::string(view_.name(*first.register_number))
                                                 : place_text(oracle_.execution().guest(), first.address);
  return fmt::format("{} at step {}", what, first.position);
}

/// What was written at this boundary before; true where something was: `registers_` are what that has made of them.
bool DebugSession::apply_edits(std::uint32_t position, GuestAddress address) {
  bool any = false;
  for (const GuestEdit& edit : edits_) {
    if (edit.position == position) {
      if (!std::exchange(any, true)) {
        registers_ = view_.registers_at(address);
      }
      apply(edit);
    }
  }
  return any;
}

void DebugSession::apply(const GuestEdit& edit) {
  if (!edit.register_number) {
    view_.write(edit.address, edit.bytes);
    return;
  }
  if (view_.is_selector(*edit.register_number)) {
    oracle_.execution().state().known_segments = 0;
  }
  if (view_.write(*edit.register_number, edit.value, registers_)) {
    skip_ = true;
  }
}

}  // namespace framefold
