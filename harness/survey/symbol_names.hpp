// What a symbol's name says about what it is. Names are guesses: whoever uses one says so, and runs the code where
// that can tell.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "image/image.hpp"

namespace framefold {

/// What `framefold new` looks for by name.
enum class Role {
  callback,
  hypercall_page,
  vcpu_info,
  per_cpu,  // what the GS base points at
  thread_stack,
  kernel_stack,
  region_start,
  region_end,
  fixup_table,
  work_flag,
  nmi,
};

/// How much `name` looks like one of `role`: 0 or less is not at all.
int likeness(Role role, std::string_view name);

/// Whether a description can name a symbol: by a name that only it has.
bool is_nameable(std::span<const Symbol> symbols, const Symbol& symbol);

/// The best name of an address for a role: several symbols may stand there. Empty: none does.
std::string best_name_at(std::span<const Symbol> symbols, GuestAddress address, std::optional<Role> role = std::nullopt,
                         std::string_view except = {});

/// An exception as the SDM names it (Vol. 3, table 6-1).
struct ExceptionName {
  unsigned number = 0;
  std::string_view name;  // "page_fault": what a description may call it
  bool error_code = false;
};

/// The exception whose stub may have this name; nothing where it is no stub's.
std::optional<ExceptionName> exception_from_name(std::string_view name);
/// That of a mnemonic at the name's end, behind whatever else: "kite_gp". Other labels end so as well ("save_ss"), so
/// that the code has to bear it out.
std::optional<ExceptionName> exception_from_mnemonic(std::string_view name);

}  // namespace framefold
