// A first description from an object: by its symbols' names, by its instructions, and by running the callback with
// tagged registers up to the handler's call.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/first_description.hpp"

namespace framefold {

struct SurveyRequest {
  std::vector<std::string> objects;             // as the command line names them
  std::string description;                      // path that the description will have: `image` is relative to it
  std::string callback;                         // the event callback's symbol, where a person says it
  std::map<std::string, std::int64_t> returns;  // of functions that nobody defines, as a person says it
  std::string gs_base;                          // what these lead to in kernel code, where a person says it
  std::string fs_base;
  std::vector<std::string> functions;  // undefined, and called through pointers alone
};

struct Survey {
  struct Info {
    Guess guess;
    bool pointer = false;
  };
  FirstDescription first;
  std::vector<Info> infos;                // what could lead to the vcpu_info, best first; `first` has the first of them
  std::vector<FirstStack> kernel_stacks;  // what could be kernel_sp's stack, best first; `first` has none
};

/// Throws InputError where the objects are none.
Survey survey_objects(const SurveyRequest& request);

}  // namespace framefold
