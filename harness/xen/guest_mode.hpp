// The vCPU mode: whether Xen thinks that the guest's kernel or its user code runs.
#pragma once

#include <cstdint>
#include <string_view>

namespace framefold {

enum class GuestMode : std::uint8_t { kernel, user };

constexpr std::string_view name_of(GuestMode mode) { return mode == GuestMode::kernel ? "kernel" : "user"; }

}  // namespace framefold
