// Where a corpus lies, and how it is replaced there.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "cli/corpus_folder.hpp"

namespace framefold {

/// The folder itself, behind links. Throws InputError where links lead nowhere or round and round.
std::filesystem::path real_folder(const std::string& folder);

/// While it lives, no other framefold of this machine that has one for the same folder gets beyond its constructor; for
/// a folder that there is not yet, the one above it. To be held from reading a corpus to replacing it. Says on standard
/// error that it waits. Where the file system has no locks, it locks nothing. Before, it puts back, with a line that
/// says so, a corpus whose process was killed between two renames: on a file system that cannot exchange two folders at
/// once.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int file_ = -1;
};

/// Replaces the inputs `old`, as they were read from `folder`, by these, under their own names; whatever else lies
/// there stays. All at once: the new folder is written beside it, <folder>.<pid>.new, and then takes its place, so that
/// who is interrupted leaves the old one or the new one. It gets the old one's mode and, as far as we may give it away,
/// its owner; what stays is the same file. Removes what a killed process has left beside it. Throws InputError.
void replace_corpus(const std::string& folder, const std::map<std::string, InputBytes>& old,
                    const std::vector<InputBytes>& inputs);

}  // namespace framefold
