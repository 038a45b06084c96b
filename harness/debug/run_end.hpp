// What somebody at the debugger is told of a run that has ended.
#pragma once

#include <string>

#include "report/verdict.hpp"
#include "run/execution.hpp"

namespace framefold {

/// How the run ended, and the verdict on its scenario. `written`: what the debugger wrote first ("rbx at step 1"), so
/// that the verdict is not one on this run; empty: nothing.
std::string end_text(const Outcome& outcome, const FileReport& scenario, const std::string& written, Width width);

}  // namespace framefold
