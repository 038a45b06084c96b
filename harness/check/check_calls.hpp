// Whether what rows of `calls` store is what the code goes on with.
#pragma once

#include <string_view>

#include "image/image.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// Whether a function of `calls` stores there.
bool is_stored_by_call(const Entry& entry, GuestAddress at);

/// `where`: who has left what is there changed. Throws InputError that names the row whose function stores there.
void check_not_stored(const Entry& entry, GuestAddress at, std::string_view where);

/// `user`: an event that interrupts user mode. Its handler asks for work: where a function of `calls` is reached then,
/// the context resumes, and nothing that such a function has stored stays changed. Throws InputError that names its
/// row.
void check_work_done(const Entry& entry, const Scenario& user);

}  // namespace framefold
