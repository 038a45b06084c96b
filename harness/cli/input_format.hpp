// Inputs whose format a newer framefold may have written.
//
// A fuzz binary reads every version that it does not know as its own: a fuzzer writes any byte there, and what it found
// has to run again as it ran. So does every command; and where the byte may mean something to a newer framefold, it
// says so, and does not write the file over unless it is told to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "cli/corpus_folder.hpp"
#include "cli/input.hpp"

namespace framefold {

class NewerFormats {
 public:
  /// Counts the file where its version is above ours. AFL++'s own (id:...) are not: nothing but AFL++ wrote them.
  void add(const std::string& file, std::uint8_t version);
  /// A line on standard error where there are any.
  void note() const;
  /// Throws InputError where there are any.
  void refuse() const;

 private:
  std::string what() const;

  std::string first_;
  std::uint8_t version_ = 0;  // of the first
  std::size_t count_ = 0;
};

void note_newer_formats(std::span<const Input> inputs);
NewerFormats newer_formats(const std::string& folder, const std::map<std::string, InputBytes>& inputs);

}  // namespace framefold
