// ClusterFuzz's answer to the question whether two crashes are the same bug (google/clusterfuzz, crash_comparer.py and
// stack_parser.py): what our reports are made for.
#pragma once

#include <algorithm>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace framefold::test {

/// The state of a crash: the cause that the report gives, then frames, three lines in all. Frames that ClusterFuzz
/// ignores are none: those of the C library's way to abort, those of sanitizers' interceptors, those whose name has
/// "assert" in it, the engine's own.
inline std::vector<std::string> crash_state(const std::string& output) {
  static const std::regex kCause("ASSERTION FAILED: (.*)");
  static const std::regex kFrame(R"(\((?:_ZN?[0-9]*)?([A-Za-z_][A-Za-z0-9_]*)\+0x[0-9a-f]+\)\[0x[0-9a-f]+\])");
  static const std::regex kIgnored(
      "abort|raise|gsignal|pthread_kill|__interceptor_.*|.*assert.*|print_stack.*|.*LLVMFuzzerTestOneInput.*|main");
  constexpr std::size_t kCauseLength = 80;
  constexpr std::size_t kLines = 3;
  std::vector<std::string> state;
  std::istringstream lines(output);
  std::smatch match;
  for (std::string line; std::getline(lines, line) && state.size() < kLines;) {
    if (state.empty() && std::regex_match(line, match, kCause)) {
      state.push_back(match[1].str().substr(0, kCauseLength));
    } else if (std::regex_search(line, match, kFrame) && !std::regex_match(match[1].str(), kIgnored)) {
      state.push_back(match[1]);
    }
  }
  return state;
}

inline std::size_t common_frames(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<std::vector<std::size_t>> best(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      best[i][j] = a[i - 1] == b[j - 1] ? best[i - 1][j - 1] + 1 : std::max(best[i - 1][j], best[i][j - 1]);
    }
  }
  return best.back().back();
}

/// 1 - edit distance / sum of the lengths.
inline double similarity(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  const auto sum = static_cast<double>(a.size() + b.size());
  return sum == 0 ? 1 : (sum - static_cast<double>(row.back())) / sum;
}

/// The same bug: equal states; never, where the first has a hash; two frames in common, or lines alike by more than 0.8
/// on average.
inline bool same_bug(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  if (a.empty() || b.empty()) return false;
  if (a == b) return true;
  if (std::any_of(a.begin(), a.end(), [](const std::string& line) { return line.find("FuzzerHash=") != line.npos; })) {
    return false;
  }
  if (common_frames(a, b) >= 2) return true;
  const std::size_t lines = std::min(a.size(), b.size());
  double sum = 0;
  for (std::size_t i = 0; i < lines; ++i) sum += similarity(a[i], b[i]);
  return sum / static_cast<double>(lines) > 0.8;
}

}  // namespace framefold::test
