#include "cli/corpus_folder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "image/description.hpp"
#include "image/input_file.hpp"

namespace framefold {

namespace {

namespace fs = std::filesystem;

void read_file(const fs::path& file, CorpusContents& corpus) {
  try {
    InputBytes bytes = read_input_file(file.string(), kMaxInputFile);
    if (const std::optional<std::string> reason = why_no_input(file, bytes)) {
      corpus.skipped.push_back({file.string(), *reason});
    } else {
      corpus.inputs.emplace(file.filename().string(), std::move(bytes));
    }
  } catch (const InputError& error) {
    corpus.skipped.push_back({file.string(), reason_of(error, file.string())});
  }
}

}  // namespace

CorpusContents read_corpus(const std::string& folder, bool may_lack) {
  CorpusContents corpus;
  std::error_code error;
  if (may_lack && fs::status(folder, error).type() == fs::file_type::not_found) {
    return corpus;
  }
  fs::directory_iterator at(folder, error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    if (!is_passed_over(at->path())) {
      read_file(at->path(), corpus);
    }
  }
  if (error) {
    throw InputError(fmt::format("{}: expected a readable folder of inputs: {}", folder, error.message()));
  }
  std::sort(corpus.skipped.begin(), corpus.skipped.end(),
            [](const Skipped& a, const Skipped& b) { return a.file < b.file; });
  return corpus;
}

CorpusContents read_inputs(const std::string& folder) {
  CorpusContents corpus = read_corpus(folder);
  expect_not_all_skipped(corpus.inputs.size(), corpus.skipped);
  if (corpus.inputs.empty()) {
    throw InputError(fmt::format("{}: expected a folder with inputs, found none in it", folder));
  }
  return corpus;
}

}  // namespace framefold
