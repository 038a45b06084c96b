#include "test/reproducers.hpp"

#include <filesystem>

#include "image/input_file.hpp"

namespace framefold::test {

std::map<std::string, ParsedScenario> read_reproducers(const std::string& name, const Entry& entry) {
  namespace fs = std::filesystem;
  constexpr std::size_t kMaxFile = 1 << 16;
  std::map<std::string, ParsedScenario> reproducers;
  const fs::path folder = fs::path(FRAMEFOLD_REPRODUCERS) / name;
  if (!fs::exists(folder)) {
    return reproducers;
  }
  for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
    if (file.path().extension() == ".md") {
      continue;
    }
    const std::string path = file.path().string();
    const std::vector<std::uint8_t> bytes = read_input_file(path, kMaxFile);
    reproducers.emplace(file.path().filename().string(),
                        from_toml({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path, entry));
  }
  return reproducers;
}

}  // namespace framefold::test
