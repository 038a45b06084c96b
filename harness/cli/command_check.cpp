// framefold check: whether a description holds.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

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
  fmt::print("  events are unmasked from {} to {}, at {} instructions{}{}\n",
             format_location(entry, report.unmasked.front()), format_location(entry, report.unmasked.back()),
             report.unmasked.size(), entry.region.size() == 0 ? "; no region is described" : ", all in the region",
             page);
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
  for (std::size_t i = 0; i < entry.calls.size(); ++i) {
    const CallDescription& call = entry.calls[i].description;
    if (!call.never && report.called.count(i) == 0) {
      fmt::print("  {} (calls[{}]) is called in none of these, nor with an event anywhere\n", call.symbol, i);
    }
  }
  fmt::print("no code shows, so what is found rests on:\n");
  for (const std::string& line : scope_of(entry)) fmt::print("  {}\n", line);
  for (const Claim& claim : claims_of(entry)) fmt::print("  {}\n", to_text(claim));
}

int check(const std::vector<std::string>& names) {
  EntryStore store;
  for (const std::string& name : names) {
    const Entry& entry = store.find(name, "check");
    store.expect_an_oracle(entry);
    try {
      print(entry, check_entry(entry));
    } catch (const Mismatch& mismatch) {
      throw mismatch.judged_by(kJudgesAllTheSame);
    } catch (const WrongCode& wrong) {
      throw InputError(fmt::format("{} (`framefold explore` judges it)", wrong.what()));
    }
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
  framefold check --entry my/entry.toml

Exit status: 0 it holds; 2 it does not, or bad use; 3 an error of framefold's own.)";

}  // namespace

Command check_command(Arguments parent) {
  auto names = std::make_shared<std::vector<std::string>>();
  Arguments app = parent.add_command("check", "Say whether a description holds, and if not, which line of it");
  app.add_option("ENTRY,-e,--entry", *names, "Paths of entry.toml files, or names of bundled entries")
      .required()
      .type_name("");
  app.footer(kCheckFooter);
  return {app, [names] { return check(*names); }};
}

}  // namespace framefold
