#include "cli/corpus_place.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <utility>

#include "cli/output_file.hpp"
#include "cli/sha1.hpp"
#include "image/description.hpp"

namespace framefold {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot_write(const std::string& folder, int reason) {
  throw InputError(fmt::format("{}: expected a place that can be written: {}", folder, std::strerror(reason)));
}

fs::path nearest_existing(fs::path path) {
  std::error_code error;
  while (!fs::exists(path, error) && path != path.parent_path()) {
    path = path.parent_path();
  }
  return path;
}

bool is_same(int file, const fs::path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(file, &opened) == 0 && ::stat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

void wait_for(int file, const std::string& folder) {
  if (::flock(file, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  fmt::print(stderr, "framefold: {}: waiting for another framefold that writes there\n", folder);
  while (::flock(file, LOCK_EX) != 0 && errno == EINTR) {
  }
}

std::string fresh_name(const fs::path& folder, const std::string& pid) {
  return fmt::format("{}.{}.new", folder.string(), pid);
}

/// Also of ourselves: in a container, a process that was killed there often had the number that we have now.
bool is_gone(pid_t pid) { return pid == ::getpid() || (::kill(pid, 0) != 0 && errno == ESRCH); }

/// Where a corpus lies for a moment, on its way out, on a file system that cannot exchange two folders.
std::string old_name(const fs::path& fresh) { return fresh.string() + ".old"; }

enum class Leftover { none, fresh, old };

/// What `path` is of a process that replaced `folder` and is gone.
Leftover leftover_of(const fs::path& path, const fs::path& folder) {
  const std::string name = path.filename().string();
  const std::string before = folder.filename().string() + ".";
  pid_t pid = 0;
  if (!name.starts_with(before)) return Leftover::none;
  const auto [stop, error] = std::from_chars(name.data() + before.size(), name.data() + name.size(), pid);
  if (error != std::errc{} || pid <= 0 || !is_gone(pid)) return Leftover::none;
  const std::string fresh = fresh_name(folder, std::to_string(pid));
  return path == fresh ? Leftover::fresh : path == old_name(fresh) ? Leftover::old : Leftover::none;
}

std::vector<std::pair<fs::path, Leftover>> find_leftovers(const fs::path& folder) {
  std::vector<std::pair<fs::path, Leftover>> leftovers;
  std::error_code error;
  for (fs::directory_iterator at(folder.parent_path(), error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    const Leftover leftover = leftover_of(at->path(), folder);
    if (leftover != Leftover::none) leftovers.emplace_back(at->path(), leftover);
  }
  return leftovers;
}

/// The corpus of which a process was killed when it had moved the old folder away and not yet the new one here.
void put_back(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(folder, error))) return;
  for (const auto& [path, leftover] : find_leftovers(folder)) {
    if (leftover != Leftover::old || ::rename(path.c_str(), folder.c_str()) != 0) continue;
    fmt::print(stderr, "framefold: {}: put back as it was before a framefold that was killed\n", folder.string());
    return;
  }
}

/// An old folder only where it is not all that is left of the corpus.
void remove_leftovers(const fs::path& folder) {
  std::error_code error;
  const bool exists = fs::exists(folder, error);
  for (const auto& [path, leftover] : find_leftovers(folder)) {
    if (exists || leftover == Leftover::fresh) fs::remove_all(path, error);
  }
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
    const fs::path old = old_name(fresh);
    fs::rename(folder, old);
    if (std::error_code error; fs::rename(fresh, folder, error), error) {
      fs::rename(old, folder);
      throw fs::filesystem_error("", folder, error);
    }
    fs::rename(old, fresh);
  }
  fs::remove_all(fresh);
}

/// The same file under another name, with its owner, mode and time; where that cannot be, as in a folder, a copy.
void keep(const fs::path& from, const fs::path& to) {
  if (::link(from.c_str(), to.c_str()) == 0) return;
  fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
}

/// Only root can give a file away to any owner, others to groups of theirs; where we may not, it stays ours.
void give(const fs::path& path, const struct stat& owner) {
  if (::lchown(path.c_str(), owner.st_uid, owner.st_gid) == 0) return;
  [[maybe_unused]] const int group_only = ::lchown(path.c_str(), static_cast<uid_t>(-1), owner.st_gid);
}

void write_inputs(const fs::path& folder, const fs::path& fresh, const std::map<std::string, InputBytes>& old,
                  const std::vector<InputBytes>& inputs, const struct stat* owner) {
  for (const InputBytes& input : inputs) {
    const std::string name = sha1_name(input);
    const auto same = old.find(name);
    if (same != old.end() && same->second == input) {
      keep(folder / name, fresh / name);
    } else {
      write_output_file((fresh / name).string(), input, false);
      if (owner != nullptr) give(fresh / name, *owner);
    }
  }
}

void write_all(const fs::path& folder, const fs::path& fresh, const std::map<std::string, InputBytes>& old,
               const std::vector<InputBytes>& inputs) {
  struct stat before {};
  const bool exists = ::stat(folder.c_str(), &before) == 0;
  fs::create_directories(fresh);
  if (!exists) {
    write_inputs(folder, fresh, old, inputs, nullptr);
    return;
  }
  fs::permissions(fresh, fs::perms::owner_all);  // nobody else looks into it before it is as the old one was
  for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
    const std::string name = file.path().filename().string();
    if (!old.contains(name)) keep(file.path(), fresh / name);
  }
  write_inputs(folder, fresh, old, inputs, &before);
  give(fresh, before);
  fs::permissions(fresh, static_cast<fs::perms>(before.st_mode) & fs::perms::mask);
}

}  // namespace

fs::path real_folder(const std::string& folder) {
  const fs::path plain = (fs::path(folder) / "").lexically_normal().parent_path();  // without "/" and "/." behind it
  std::error_code error;
  fs::path real = fs::weakly_canonical(fs::absolute(plain.empty() ? "." : plain), error);
  if (error) {
    throw InputError(fmt::format("{}: expected a folder: {}", folder, error.message()));
  }
  if (fs::is_symlink(fs::symlink_status(real, error))) {
    throw InputError(fmt::format("{}: expected a folder, found a link to nothing", folder));
  }
  return real;
}

FolderLock::FolderLock(const std::string& folder) {
  const fs::path real = real_folder(folder);
  put_back(real);
  for (;;) {
    const int file = ::open(nearest_existing(real).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return;  // who reads it says why
    wait_for(file, folder);
    if (is_same(file, nearest_existing(real))) {
      file_ = file;
      return;
    }
    ::close(file);  // replaced meanwhile, or made
  }
}

FolderLock::~FolderLock() {
  if (file_ >= 0) ::close(file_);
}

void replace_corpus(const std::string& name, const std::map<std::string, InputBytes>& old,
                    const std::vector<InputBytes>& inputs) {
  const fs::path folder = real_folder(name);
  const fs::path fresh = fresh_name(folder, std::to_string(::getpid()));
  // Who asks this program to end waits until the corpus is whole and nothing lies beside it: milliseconds.
  const SignalsHeld held;
  remove_leftovers(folder);
  try {
    write_all(folder, fresh, old, inputs);
    put_in_place(fresh, folder);
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove_all(fresh, ignored);
    cannot_write(name, error.code().value());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(fresh, ignored);
    throw;
  }
}

}  // namespace framefold
