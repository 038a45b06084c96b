// A description by its lines, to change one at a time.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <vector>

#include "test/own_folder.hpp"

namespace framefold::test {

/// Each line with the table that it is in. Known rows, which are about another description's verdict, are left out.
struct Lines {
  std::string path;
  std::vector<std::string> text;
  std::vector<std::string> table;  // "handler", "vectors[1]"
  bool wide = false;

  std::string with(std::size_t line, const std::string& instead) const {
    std::string whole;
    for (std::size_t i = 0; i < text.size(); ++i) whole += (i == line ? instead : text[i]) + "\n";
    return whole;
  }
  std::string whole() const { return with(text.size(), ""); }
};

inline Lines lines_of(const std::string& path) {
  Lines lines;
  lines.path = path;
  const std::string text = read(path);
  std::string table;
  int vectors = -1;
  std::size_t at = 0;
  for (std::size_t end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    const std::string line = text.substr(at, end - at);
    if (line.starts_with("[[known]]")) break;
    if (line.starts_with('[')) {
      table = line.substr(0, line.find(']'));
      table.erase(0, table.find_first_not_of('['));
      if (table == "vectors") table += fmt::format("[{}]", ++vectors);
    }
    lines.text.push_back(line);
    lines.table.push_back(table);
    lines.wide = lines.wide || line.starts_with("width = 64");
  }
  return lines;
}

}  // namespace framefold::test
