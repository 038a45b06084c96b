// Inputs whose format a newer framefold may have written.
//
// A fuzz binary reads every version that it does not know as its own: a fuzzer writes any byte there, and what it found
// has to run again as it ran. So does every command, and says so; and where the byte may mean something to a newer
// framefold, it does not write the file over unless it is told to. AFL++'s files (id:...) tell nothing of that: it
// changes the byte as any other, so that they are written over with no more than the line.
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
  /// Counts the file where its version is above ours.
  void add(const std::string& file, std::uint8_t version);
  /// A line on standard error where there are any, and one where AFL++ wrote some.
  void note() const;
  /// Throws InputError where there are any that AFL++ did not write.
  void refuse() const;

 private:
  struct Tally {
    std::string first;
    std::uint8_t version = 0;  // of the first
    std::size_t count = 0;

    std::string text() const;
  };

  Tally afl_;
  Tally others_;
};

void note_newer_formats(std::span<const Input> inputs);
NewerFormats newer_formats(const std::string& folder, const std::map<std::string, InputBytes>& inputs);

}  // namespace framefold
