#include "cli/survey_bases.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "image/image.hpp"
#include "survey/code_clues.hpp"
#include "survey/symbol_names.hpp"

namespace framefold {

namespace {

constexpr std::uint64_t kLargestPerCpu = 0x4000;  // what has more room is a stack

}  // namespace

ProbeResult BaseSurvey::probe_from_bases(const ProbeVector& vector) {
  for (const Base& base : bases_) set_as_said(base);
  ProbeResult result = probe(code_, vector, first_.objects);
  for (Base& base : bases_) {
    if (result.call || !is_wanted(base, result)) continue;
    std::vector<Candidate> candidates = candidates_for(base, vector);
    base.rivals.clear();
    if (candidates.size() == 1) {
      code_.*base.base = candidates.front().symbol->address;
      base.found = candidates.front().symbol->name;
      return std::move(candidates.front().result);
    }
    for (const Candidate& candidate : candidates) base.rivals.push_back(candidate.symbol->name);
  }
  return result;
}

/// Of those with which the callback gets to its handler, or wants no more than a stack there, the ones whose names look
/// most like per-CPU data: one name alone decides, and where nothing does, most data would do.
std::vector<BaseSurvey::Candidate> BaseSurvey::candidates_for(const Base& base, const ProbeVector& vector) {
  constexpr std::size_t kMost = 4;  // enough to say that there are several
  std::vector<Candidate> found;
  for (const Symbol* symbol : per_cpu_symbols()) {
    const int looks = likeness(Role::per_cpu, symbol->name);
    if (found.size() == kMost || (!found.empty() && looks < likeness(Role::per_cpu, found[0].symbol->name))) break;
    if (!found.empty() && found.back().symbol->address == symbol->address) continue;
    code_.*base.base = symbol->address;
    ProbeResult result = probe(code_, vector, first_.objects);
    const bool wants_stack = result.need && result.need->kind == ProbeNeed::Kind::stack_pointer;
    if (result.call || wants_stack) found.push_back({symbol, std::move(result)});
  }
  code_.*base.base = {};
  return found;
}

void BaseSurvey::set_as_said(const Base& base) {
  code_.*base.base = {};
  const std::string& said = request_.*base.said;
  if (said.empty()) return;
  const LocationText place = split_location(said).value();  // command_new has looked at its form
  const std::optional<GuestAddress> address = find_symbol(image_.elf().symbols, place.symbol);
  if (!address) {
    throw InputError(fmt::format("--{}-base: expected a symbol of {}, once: {} is not", name_of(base.segment),
                                 first_.objects, place.symbol));
  }
  code_.*base.base = *address + place.offset;
}

/// On 32-bit, code that goes through FS or GS mostly loads it before.
bool BaseSurvey::is_wanted(const Base& base, const ProbeResult& result) const {
  if (!(request_.*base.said).empty()) return false;
  return first_.width == Width::k64 ? uses_segment(code_.instructions, base.segment) : result.through == base.segment;
}

std::vector<const Symbol*> BaseSurvey::per_cpu_symbols() const {
  std::vector<const Symbol*> symbols;
  for (const Symbol& symbol : image_.elf().symbols) {
    if (image_.is_data(symbol.address) && image_.is_usable(symbol) && image_.room_at(symbol) < kLargestPerCpu)
      symbols.push_back(&symbol);
  }
  std::stable_sort(symbols.begin(), symbols.end(), [](const Symbol* a, const Symbol* b) {
    return likeness(Role::per_cpu, a->name) > likeness(Role::per_cpu, b->name);
  });
  return symbols;
}

bool BaseSurvey::meet_segment(std::uint16_t selector, const ProbeVector& vector) {
  constexpr unsigned kSystem = 4;  // bit 2: not of the GDT
  const auto is_it = [=](const FirstSegment& segment) { return segment.selector == selector; };
  const bool known = std::any_of(first_.segments.begin(), first_.segments.end(), is_it);
  if (known || selector < 8 || (selector & kSystem) != 0) return false;
  FirstSegment segment{selector, {"", "where the segment starts: per-CPU data"}};
  code_.segments.emplace_back(selector, GuestAddress{});
  for (const Symbol* symbol : per_cpu_symbols()) {
    code_.segments.back().second = symbol->address;
    const ProbeResult result = probe(code_, vector, first_.objects);
    if (!result.call && !result.need) continue;
    segment.base = {symbol->name, "guessed: with it the callback gets on; check where the kernel's descriptor points"};
    break;
  }
  first_.segments.push_back(segment);
  return true;
}

void BaseSurvey::ask_for_base(const ProbeResult& result) {
  for (const Base& base : bases_) {
    if (result.through != base.segment || !(request_.*base.said).empty()) continue;
    const std::string name(name_of(base.segment));
    const std::string several =
        base.rivals.empty() ? "" : fmt::format(" With {} it gets on: which is it?", fmt::join(base.rivals, ", or "));
    first_.*base.line = Guess{
        "", fmt::format("what {}'s base points at: the code stops at {}.{} `framefold new --{}-base PLACE` goes on "
                        "from there",
                        name, result.stopped, several, name)};
  }
}

void BaseSurvey::describe() {
  for (const Base& base : bases_) {
    const std::string name(name_of(base.segment));
    const std::string& said = request_.*base.said;
    if (!said.empty()) {
      first_.*base.line = Guess{said, fmt::format("as --{}-base says", name)};
    } else if (!base.found.empty()) {
      std::string upper = name;
      std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return std::toupper(c); });
      first_.*base.line =
          Guess{base.found, fmt::format("guessed: with it the callback reaches its handler; check what the {} base is "
                                        "set to",
                                        upper)};
    }
  }
}

const std::string& BaseSurvey::symbol() const {
  return bases_.front().found.empty() ? bases_.back().found : bases_.front().found;
}

}  // namespace framefold
