#include "image/check_uses.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "image/description_rules.hpp"

namespace framefold {
namespace {

/// Each row of `data` is of what the objects use and do not define. `symbols` are those of all objects.
void check_rows(const Description& description, const ObjectSymbols& symbols) {
  for (std::size_t i = 0; i < description.data.size(); ++i) {
    const std::string& name = description.data[i].symbol;
    const auto fail = [&](const char* why) {
      throw description_error(description, fmt::format("data[{}].symbol", i),
                              fmt::format("expected data that the objects use and do not define: {} is {}", name, why));
    };
    if (symbols.defined.count(name) != 0) fail("defined by them");
    if (symbols.undefined.count(name) == 0) fail("not used by them");
    if (symbols.called.count(name) != 0) fail("a function that they call");
  }
}

/// A line, and the symbol of its data.
struct DataLine {
  std::string key;
  std::string symbol;
};

std::vector<DataLine> data_lines(const Description& d) {
  std::vector<DataLine> lines;
  const auto add = [&](const std::string& key, const std::string& place) {
    if (const std::optional<LocationText> at = split_location(place)) lines.push_back({key, std::string(at->symbol)});
  };
  add("vcpu_info.pointer", d.vcpu_info.pointer);
  add("vcpu_info.symbol", d.vcpu_info.symbol);
  add("stacks.thread.symbol", d.stacks.thread.symbol);
  add("stacks.interrupt.pointer", d.stacks.interrupt_pointer);
  add("stacks.nesting.symbol", d.stacks.nesting_count);
  if (d.stacks.interrupt) add("stacks.interrupt.symbol", d.stacks.interrupt->symbol);
  if (d.stacks.kernel) add("stacks.kernel.symbol", d.stacks.kernel->symbol);
  if (d.work_flag) add("work_flag.symbol", d.work_flag->symbol);
  for (std::size_t i = 0; i < d.counters.size(); ++i) {
    add(fmt::format("entry_data.counters[{}].symbol", i), d.counters[i].symbol);
  }
  add("gs_base", d.gs_base);
  add("fs_base", d.fs_base);
  for (std::size_t i = 0; i < d.segments.size(); ++i) add(fmt::format("segments[{}].base", i), d.segments[i].base);
  for (std::size_t i = 0; i < d.calls.size(); ++i) add(fmt::format("calls[{}].sets", i), d.calls[i].sets);
  return lines;
}

/// The line that says that `symbol` is a handler; empty: none does.
std::string handler_line(const Description& d, const std::string& symbol) {
  for (const VectorDescription& vector : d.vectors) {
    if (vector.handler != symbol || symbol.empty()) continue;
    return vector.kind == DeliveryKind::event ? "handler.symbol" : vector.key + ".handler";
  }
  return "";
}

std::string is_called(const Description& d, const std::string& symbol, const std::string& handler) {
  return fmt::format("{} is a function that the objects call{}", symbol,
                     handler.empty() ? "" : fmt::format(", and {}", key_and_line(d, handler)));
}

/// What is called is a function, whatever a line says; what is not, and two lines claim, is the handler's or the
/// data's.
void check_data_lines(const Description& d, const ObjectSymbols& symbols) {
  for (const DataLine& line : data_lines(d)) {
    if (symbols.undefined.count(line.symbol) == 0) continue;
    const std::string handler = handler_line(d, line.symbol);
    if (symbols.called.count(line.symbol) != 0) {
      throw description_error(d, line.key, fmt::format("expected data: {}", is_called(d, line.symbol, handler)));
    }
    if (!handler.empty()) {
      throw description_error(d, handler,
                              fmt::format("expected a function: {} is {}", line.symbol, key_and_line(d, line.key)));
    }
  }
}

/// Hypercalls lie behind a page's start; a function is called at its own.
void check_page_line(const Description& d, const ObjectSymbols& symbols) {
  const std::string& page = d.hypercall_page;
  if (symbols.undefined.count(page) == 0 || symbols.paged.count(page) != 0) return;
  const std::string handler = handler_line(d, page);
  const bool called = symbols.called.count(page) != 0;
  if (called) {
    throw description_error(d, "hypercall_page", fmt::format("expected the page: {}", is_called(d, page, handler)));
  }
  if (!handler.empty()) {
    throw description_error(d, handler,
                            fmt::format("expected a function: {} is {}", page, key_and_line(d, "hypercall_page")));
  }
}

}  // namespace

void check_uses(const Description& description, const ObjectSymbols& symbols) {
  check_rows(description, symbols);
  check_data_lines(description, symbols);
  check_page_line(description, symbols);
}

}  // namespace framefold
