#include "cli/corpus_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "cli/output_file.hpp"
#include "cli/sha1.hpp"
#include "image/description.hpp"
#include "image/input_file.hpp"

namespace framefold {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot_write(const fs::path& folder, int reason) {
  throw InputError(fmt::format("{}: expected a place that can be written: {}", folder.string(), std::strerror(reason)));
}

/// "corpus/x/." and "corpus/x/" are no names of their own.
fs::path plain(const std::string& folder) {
  const fs::path path = (fs::path(folder) / "").lexically_normal().parent_path();
  return path.empty() ? fs::path(".") : path;
}

/// Both exist afterwards, each under the other's name; false where the file system cannot do that.
bool exchange(const fs::path& a, const fs::path& b) {
  return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0;
}

void put_in_place(const fs::path& fresh, const fs::path& folder) {
  if (!fs::exists(folder)) {
    fs::rename(fresh, folder);
    return;
  }
  if (!exchange(fresh, folder)) {
    const fs::path old = fresh.string() + ".old";
    fs::rename(folder, old);
    fs::rename(fresh, folder);
    fs::rename(old, fresh);
  }
  fs::remove_all(fresh);
}

void write_all(const fs::path& folder, const fs::path& fresh, const std::map<std::string, InputBytes>& old,
               const std::vector<InputBytes>& inputs) {
  fs::create_directories(fresh);
  if (fs::exists(folder)) {
    fs::permissions(fresh, fs::status(folder).permissions());
    for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
      if (!old.contains(file.path().filename().string())) {
        fs::copy(file.path(), fresh / file.path().filename(),
                 fs::copy_options::recursive | fs::copy_options::copy_symlinks);
      }
    }
  }
  for (const InputBytes& input : inputs) {
    write_output_file((fresh / sha1_name(input)).string(), input, false);
  }
}

void read_file(const fs::path& file, CorpusFolder& corpus) {
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

CorpusFolder read_corpus(const std::string& folder, bool may_lack) {
  CorpusFolder corpus;
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

CorpusFolder read_inputs(const std::string& folder) {
  CorpusFolder corpus = read_corpus(folder);
  expect_not_all_skipped(corpus.inputs.size(), corpus.skipped);
  if (corpus.inputs.empty()) {
    throw InputError(fmt::format("{}: expected a folder with inputs, found none in it", folder));
  }
  return corpus;
}

void replace_corpus(const std::string& name, const std::map<std::string, InputBytes>& old,
                    const std::vector<InputBytes>& inputs) {
  const fs::path folder = plain(name);
  const fs::path fresh = fmt::format("{}.{}.new", folder.string(), ::getpid());
  // Who asks this program to end waits until the corpus is whole and nothing lies beside it: milliseconds.
  const SignalsHeld held;
  try {
    write_all(folder, fresh, old, inputs);
    put_in_place(fresh, folder);
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove_all(fresh, ignored);
    cannot_write(folder, error.code().value());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(fresh, ignored);
    throw;
  }
}

}  // namespace framefold
