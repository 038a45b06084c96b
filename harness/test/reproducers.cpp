#include "test/reproducers.hpp"

#include <filesystem>

#include "image/input_file.hpp"

namespace framefold::test {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFile = 1 << 16;

std::map<std::string, ParsedScenario> read_scenarios(const fs::path& folder, const Entry& entry) {
  std::map<std::string, ParsedScenario> scenarios;
  if (!fs::exists(folder)) {
    return scenarios;
  }
  for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
    if (file.path().extension() != ".toml") {
      continue;  // README.md
    }
    const std::string path = file.path().string();
    const std::vector<std::uint8_t> bytes = read_input_file(path, kMaxFile);
    scenarios.emplace(file.path().filename().string(),
                      from_toml({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path, entry));
  }
  return scenarios;
}

}  // namespace

std::map<std::string, ParsedScenario> read_reproducers(const std::string& name, const Entry& entry) {
  return read_scenarios(fs::path(FRAMEFOLD_REPRODUCERS) / name, entry);
}

std::map<std::string, ParsedScenario> read_aims(const std::string& name, const Entry& entry) {
  return read_scenarios(fs::path(FRAMEFOLD_AIMS) / name, entry);
}

}  // namespace framefold::test
