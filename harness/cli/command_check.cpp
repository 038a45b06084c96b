// framefold check: whether a description holds.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "check/check_entry.hpp"
#include "check/claims.hpp"
#include "cli/commands.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"

namespace framefold {

namespace {

void print_unmasked(const Entry& entry, const CheckReport& report) {
  if (report.unmasked.empty()) {
    fmt::print("  events are unmasked at no instruction of the way out\n");
    return;
  }
  const std::string page = report.unmasked_on_page.empty()
                               ? ""
                               : fmt::format(", and on the hypercall page from {}",
                                             format_location(entry, *report.unmasked_on_page.begin()));
  fmt::print(
      "  events are unmasked from {} to {}, at {} instructions{}{}\n", format_location(entry, report.unmasked.front()),
      format_location(entry, report.unmasked.back()), report.unmasked.size(),
      entry.region.size() == 0 ? ", taken for the region, since none is described" : ", all in the region", page);
}

/// Rows of `calls` of which no plain run says anything.
std::vector<std::size_t> not_called(const Entry& entry, const CheckReport& report) {
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < entry.calls.size(); ++i) {
    if (!entry.calls[i].description.never && report.called.count(i) == 0) rows.push_back(i);
  }
  return rows;
}

void print(const Entry& entry, const CheckReport& report) {
  fmt::print("{}: the description holds\n", entry.name());
  constexpr std::size_t kUsual = 32;
  std::size_t width = kUsual;
  for (const CheckReport::Delivery& delivery : report.deliveries) width = std::max(width, delivery.context.size());
  for (const CheckReport::Delivery& delivery : report.deliveries) {
    fmt::print("  {:<{}} resumes after {} instructions; {} gets a frame, {} slots of which show the context\n",
               delivery.context, width, delivery.boundaries, delivery.handler, delivery.slots);
  }
  print_unmasked(entry, report);
  fmt::print("  handlers are called with the stack at a multiple of {}\n", report.stack_alignment);
  if (!report.changed.empty())
    fmt::print("  a register does not come back, which `framefold explore` judges: {}\n", report.changed);
  if (!report.error_code_unsaid.empty()) {
    fmt::print("  {}, and handler.error_code_argument does not say so: where the handler gets it there, say it\n",
               report.error_code_unsaid);
  }
  if (!report.zeroed.empty()) {
    fmt::print("no object defines, and no row of `data` describes, what is zeroed for the code: {}\n",
               fmt::join(report.zeroed, ", "));
  }
  for (const std::size_t row : not_called(entry, report)) {
    fmt::print("  {} (calls[{}]) is called in none of these, nor with an event anywhere\n",
               entry.calls[row].description.symbol, row);
  }
  fmt::print("no code shows, so what is found rests on:\n");
  for (const std::string& line : scope_of(entry)) fmt::print("  {}\n", line);
  for (const Claim& claim : claims_of(entry)) fmt::print("  {}\n", to_text(claim));
}

nlohmann::json unmasked_json(const Entry& entry, const CheckReport& report) {
  if (report.unmasked.empty()) return nullptr;
  const std::set<GuestAddress>& page = report.unmasked_on_page;
  return {{"first", format_location(entry, report.unmasked.front())},
          {"last", format_location(entry, report.unmasked.back())},
          {"instructions", report.unmasked.size()},
          {"on_page", page.empty() ? nlohmann::json(nullptr) : nlohmann::json(format_location(entry, *page.begin()))}};
}

nlohmann::json deliveries_json(const CheckReport& report) {
  nlohmann::json list = nlohmann::json::array();
  for (const CheckReport::Delivery& delivery : report.deliveries) {
    list.push_back({{"context", delivery.context},
                    {"boundaries", delivery.boundaries},
                    {"handler", delivery.handler},
                    {"frame", delivery.frame},
                    {"slots", delivery.slots}});
  }
  return list;
}

nlohmann::json region_json(const Entry& entry) {
  const RegionDescription& region = entry.description.region;
  if (entry.region.size() == 0) return nullptr;
  return {{"start", region.start}, {"end", region.end}, {"bytes", entry.region.size()}};
}

/// The names are those of the JSON of `explore` and `entries`, where it says the same.
nlohmann::json to_json(const Entry& entry, const CheckReport& report) {
  const auto text = [](const std::string& said) {
    return said.empty() ? nlohmann::json(nullptr) : nlohmann::json(said);
  };
  const Description& description = entry.description;
  nlohmann::json vectors = nlohmann::json::array();
  for (const Vector& vector : entry.vectors) vectors.push_back(vector.description.name);
  nlohmann::json silent = nlohmann::json::array();
  for (const std::size_t row : not_called(entry, report)) {
    silent.push_back({{"row", row}, {"symbol", entry.calls[row].description.symbol}});
  }
  nlohmann::json claims = nlohmann::json::array();
  for (const Claim& claim : claims_of(entry)) {
    claims.push_back({{"key", claim.key}, {"value", claim.value}, {"place", claim.place}});
  }
  return {{"name", entry.name()},
          {"holds", true},
          {"modes", description.user_mode ? std::vector{"kernel", "user"} : std::vector{"kernel"}},
          {"vectors", std::move(vectors)},
          {"deliveries", deliveries_json(report)},
          {"unmasked", unmasked_json(entry, report)},
          {"region", region_json(entry)},
          {"stack_alignment", report.stack_alignment},
          {"register_lost", text(report.changed)},
          {"error_code_unsaid", text(report.error_code_unsaid)},
          {"zeroed", report.zeroed},
          {"not_called", std::move(silent)},
          {"scope", scope_of(entry)},
          {"not_shown", std::move(claims)}};
}

/// Throws InputError where it does not hold, with what judges the code.
CheckReport report_of(const Entry& entry) {
  try {
    return check_entry(entry);
  } catch (const Mismatch& mismatch) {
    throw mismatch.judged_by(kJudgesAllTheSame);
  } catch (const WrongCode& wrong) {
    throw InputError(fmt::format("{} (`framefold explore` judges it)", wrong.what()));
  }
}

struct CheckOptions {
  std::vector<std::string> names;
  bool json = false;
};

int check(const CheckOptions& options) {
  EntryStore store;
  nlohmann::json entries = nlohmann::json::array();
  for (const std::string& name : options.names) {
    const Entry& entry = store.find(name, "check");
    store.expect_an_oracle(entry);
    const CheckReport report = report_of(entry);
    if (options.json) {
      entries.push_back(to_json(entry, report));
    } else {
      print(entry, report);
    }
  }
  if (options.json) {
    const nlohmann::json document = {{"format", 1}, {"entries", std::move(entries)}};
    fmt::print("{}\n", document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  return kExitClean;
}

constexpr const char* kCheckFooter =
    R"(Delivers each vector once to a plain context (kernel mode on each stack, user mode where it is listed), with events
enabled and nothing else arriving, and looks whether the described handler is called, on a described stack, with a frame
whose slots show the context; whether the context resumes; and whether the region's labels stand where events are
unmasked. What does not fit is a wrong description, and the message says which line of it, and what was seen instead. It
is no verdict about the code: `framefold explore` gives one, and `framefold explore --unchecked` does where that line is
right all the same and the code is not.

Examples:
  framefold check my/entry.toml
  framefold check --json --entry my/entry.toml

Exit status: 0 it holds; 2 it does not, or bad use; 3 an error of framefold's own.)";

}  // namespace

Command check_command(Arguments parent) {
  auto options = std::make_shared<CheckOptions>();
  Arguments app = parent.add_command("check", "Say whether a description holds, and if not, which line of it");
  app.add_option("ENTRY,-e,--entry", options->names, "Paths of entry.toml files, or names of bundled entries")
      .required()
      .type_name("");
  app.add_flag("--json", options->json, "One JSON document instead of text; of what does not hold, there is none");
  app.footer(kCheckFooter);
  return {app, [options] { return check(*options); }};
}

}  // namespace framefold
