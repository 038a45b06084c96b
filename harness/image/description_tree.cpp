#include "image/description_tree.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "image/description_keys.hpp"

namespace framefold {
namespace {

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::none:
      return "nothing";
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "text";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a floating-point number";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
  }
  return "something else";
}

std::string found(const toml::node& node) {
  if (const auto* text = node.as_string()) {
    // Long texts and newlines do not belong into a line of message.
    std::string_view value = text->get();
    return fmt::format("\"{}\"", value.substr(0, std::min<std::size_t>(value.find('\n'), 40)));
  }
  if (const auto* integer = node.as_integer()) return fmt::format("{}", integer->get());
  return std::string(type_name(node));
}

bool all_of(std::string_view text, bool (*allowed)(char)) {
  return !text.empty() && std::all_of(text.begin(), text.end(), allowed);
}

bool is_word_character(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; }
bool is_file_name_character(char c) { return is_word_character(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '+'; }
bool is_printable(char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; }

bool is_symbol(std::string_view text) {
  return text.find('+') == std::string_view::npos && split_location(text).has_value();
}

bool is_choice(const KeySpec& key, std::string_view text) {
  const std::vector<std::string_view> choices = choices_of(key);
  return std::find(choices.begin(), choices.end(), text) != choices.end();
}

bool text_fits(const KeySpec& key, std::string_view text) {
  switch (key.type) {
    case KeyType::string:
    case KeyType::text_list:
      return all_of(text, is_printable);
    case KeyType::word:
      return all_of(text, is_word_character);
    case KeyType::file_name:
      return all_of(text, is_file_name_character) && text[0] != '.';
    case KeyType::symbol:
    case KeyType::symbol_list:
      return is_symbol(text);
    case KeyType::data_place:
    case KeyType::boundary_list:
      return split_location(text).has_value();
    case KeyType::choice:
    case KeyType::choice_list:
      return is_choice(key, text);
    case KeyType::gpr:
      return true;
    default:
      return false;
  }
}

bool integer_fits(const KeySpec& key, std::int64_t value) {
  if (key.type == KeyType::integer_choice) return is_choice(key, std::to_string(value));
  return value >= key.minimum && value <= key.maximum;
}

/// Walks the text's tree and the table of keys side by side.
class TreeCheck {
 public:
  explicit TreeCheck(Description& description) : description_(description) {}

  /// `spec_path` is the table's path in the table of keys, `path` its place in the text.
  void check_table(const toml::table& table, const std::string& spec_path, const std::string& path) {
    const std::vector<const KeySpec*> keys = keys_below(spec_path);
    for (const auto& [name, node] : table) check_known(name, node, keys, path);
    for (const KeySpec* key : keys) {
      const toml::node* node = table.get(name_of_key(*key));
      const std::string child = join(path, name_of_key(*key));
      if (node != nullptr) {
        check_value(*node, *key, child);
      } else if (key->required) {
        throw description_error(description_, child, fmt::format("missing: expected {}", expected_value(*key)));
      }
    }
  }

 private:
  static std::string join(const std::string& path, std::string_view name) {
    return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
  }

  void note(const std::string& path, const toml::node& node) {
    const toml::source_position& begin = node.source().begin;
    description_.positions[path] = {std::max(begin.line, 1U), std::max(begin.column, 1U)};
  }

  void check_known(const toml::key& name, const toml::node& node, const std::vector<const KeySpec*>& keys,
                   const std::string& path) {
    const bool known =
        std::any_of(keys.begin(), keys.end(), [&](const KeySpec* key) { return name_of_key(*key) == name.str(); });
    if (known) return;
    std::vector<std::string_view> names;
    names.reserve(keys.size());
    for (const KeySpec* key : keys) names.push_back(name_of_key(*key));
    const std::string child = join(path, name.str().substr(0, 40));
    note(child, node);
    throw description_error(description_, child,
                            fmt::format("unknown key: expected one of {}", fmt::join(names, ", ")));
  }

  [[noreturn]] void fail(const toml::node& node, const KeySpec& key, const std::string& path) const {
    throw description_error(description_, path, fmt::format("expected {}, found {}", expected_value(key), found(node)));
  }

  /// A line that `framefold new` left to a person.
  void check_filled_in(const toml::node& node, std::string_view help, const std::string& path) const {
    const auto* text = node.as_string();
    if (text == nullptr || text->get() != kFillIn) return;
    throw description_error(description_, path, fmt::format("expected this line to be filled in: {}", help));
  }

  void check_value(const toml::node& node, const KeySpec& key, const std::string& path) {
    note(path, node);
    check_filled_in(node, key.help, path);
    switch (key.type) {
      case KeyType::boolean:
        if (!node.is_boolean()) fail(node, key, path);
        return;
      case KeyType::integer:
      case KeyType::integer_choice:
        return check_integer(node, key, path);
      case KeyType::choice_list:
      case KeyType::symbol_list:
      case KeyType::boundary_list:
      case KeyType::text_list:
      case KeyType::integer_list:
        return check_list(node, key, path);
      case KeyType::table:
        if (!node.is_table()) fail(node, key, path);
        return check_table(*node.as_table(), std::string(key.path), path);
      case KeyType::table_list:
        return check_tables(node, key, path);
      case KeyType::slot_table:
        return check_slots(node, key, path);
      default:
        return check_text(node, key, path);
    }
  }

  void check_text(const toml::node& node, const KeySpec& key, const std::string& path) {
    const auto* text = node.as_string();
    if (text == nullptr || !text_fits(key, text->get())) fail(node, key, path);
  }

  void check_integer(const toml::node& node, const KeySpec& key, const std::string& path) {
    const auto* integer = node.as_integer();
    if (integer == nullptr || !integer_fits(key, integer->get())) fail(node, key, path);
  }

  bool count_fits(const KeySpec& key, std::size_t count) const {
    if (key.type == KeyType::integer_list) return count > 0 && count <= 256;
    return static_cast<std::int64_t>(count) >= key.minimum && static_cast<std::int64_t>(count) <= key.maximum;
  }

  void check_list(const toml::node& node, const KeySpec& key, const std::string& path) {
    const toml::array* list = node.as_array();
    if (list == nullptr || !count_fits(key, list->size())) fail(node, key, path);
    std::set<std::string> seen;
    for (std::size_t i = 0; i < list->size(); ++i) {
      const toml::node& element = (*list)[i];
      const std::string child = fmt::format("{}[{}]", path, i);
      note(child, element);
      if (key.type == KeyType::integer_list) {
        check_integer(element, key, child);
      } else {
        check_text(element, key, child);
      }
      // The two ends of a range may be equal; otherwise a repetition is a slip.
      if (!seen.insert(found(element)).second && key.type != KeyType::boundary_list) fail(element, key, child);
    }
  }

  void check_tables(const toml::node& node, const KeySpec& key, const std::string& path) {
    const toml::array* list = node.as_array();
    if (list == nullptr || !count_fits(key, list->size())) fail(node, key, path);
    for (std::size_t i = 0; i < list->size(); ++i) {
      const toml::node& element = (*list)[i];
      const std::string child = fmt::format("{}[{}]", path, i);
      note(child, element);
      if (!element.is_table()) fail(element, key, child);
      check_table(*element.as_table(), fmt::format("{}[]", key.path), child);
    }
  }

  void check_slots(const toml::node& node, const KeySpec& key, const std::string& path) {
    const toml::table* slots = node.as_table();
    if (slots == nullptr) fail(node, key, path);
    for (const auto& [name, offset] : *slots) {
      const std::string child = join(path, name.str().substr(0, 40));
      note(child, offset);
      check_filled_in(offset, key.help, child);
      if (!all_of(name.str(), is_word_character)) fail(node, key, child);
      check_integer(offset, key, child);
    }
  }

  Description& description_;
};

}  // namespace

void check_tree(const toml::table& root, Description& description) { TreeCheck(description).check_table(root, "", ""); }

}  // namespace framefold
