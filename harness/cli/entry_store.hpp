// The entries that a command works with, each loaded once, each with one oracle.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "image/source_lines.hpp"
#include "run/oracle.hpp"

namespace framefold {

/// Whether `--entry` or a scenario's `entry` names a description file rather than a bundled entry.
bool is_entry_path(std::string_view wanted);

/// A bundled entry, loaded. Throws InternalError where it is not what the build made sure of.
std::unique_ptr<const Entry> load_bundled(const struct BundledEntry& bundled);

class EntryStore {
 public:
  EntryStore() = default;
  /// Unless `unchecked`, a description from a file has to hold (check_entry) before anything is said of its code. See
  /// Arguments::add_unchecked().
  explicit EntryStore(bool unchecked) : checked_(!unchecked) {}

  /// The bundled entry of that name, or the entry at that path. `asked_by` ("--entry", "file.toml: entry") is for the
  /// message. Throws InputError; where it has to hold, also the line of one that does not hold. The bundled ones are
  /// not checked: the tests hold them.
  const Entry& find(const std::string& wanted, std::string_view asked_by);

  /// The oracle of an entry of this store. The first of each width checks the emulator (run_self_test).
  Oracle& oracle(const Entry& entry);
  /// What making its oracle tests: the emulator, and the kinds of its known rows. None is kept, since each takes some
  /// 23 MB (measured: 12 of them).
  void expect_an_oracle(const Entry& entry);

  /// The bytes of its image.
  std::vector<std::uint8_t> image(const Entry& entry) const;

  /// The files that the entries found so far were read from: descriptions and images.
  std::vector<std::string> files() const;

  /// What the debug information of its image says; nothing where it has none.
  const SourceLines* lines(const Entry& entry);

 private:
  bool checked_ = false;
  std::map<std::string, std::unique_ptr<const Entry>> entries_;  // by what was wanted
  std::map<const Entry*, std::unique_ptr<Oracle>> oracles_;
  std::map<const Entry*, SourceLines> lines_;
  std::set<Width> tested_;

  std::unique_ptr<const Entry> load_file(const std::string& path);
  void test_emulator(Width width);
  void expect_to_hold(const Entry& entry);
  const std::string& wanted_as(const Entry& entry) const;
};

}  // namespace framefold
