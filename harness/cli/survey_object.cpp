#include "cli/survey_object.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>

#include "cli/survey_bases.hpp"
#include "cli/survey_names.hpp"
#include "cli/survey_stacks.hpp"
#include "image/image.hpp"
#include "survey/code_clues.hpp"
#include "survey/object_image.hpp"
#include "survey/symbol_names.hpp"

namespace framefold {

namespace {

namespace fs = std::filesystem;

constexpr const char* kByName = "guessed from its name: check what the kernel registers (CALLBACKOP_register)";

class Surveyor {
 public:
  explicit Surveyor(const SurveyRequest& request)
      : request_(request),
        image_(request.objects, request.description, request.functions),
        bases_(request_, image_, code_, survey_.first) {}

  /// A function that is undefined and was reached by a pointer: with it among the request's, the survey gets on.
  const std::string& function() const { return function_; }

  Survey survey() {
    first().width = image_.width();
    first().objects = image_.objects();
    first().name = word_of(fs::path(request_.objects.front()).stem().string());
    describe_page();
    decode_code();
    find_vcpu_info();
    find_callback();
    find_exceptions();
    describe_calls();
    survey_stacks(image_, event_call_ ? &*event_call_ : nullptr, bases_.symbol(), survey_);
    first().work_flag = work_flag_by_name(image_, code_.instructions);
    list_labels();
    return std::move(survey_);
  }

 private:
  FirstDescription& first() { return survey_.first; }

  static std::string word_of(std::string text) {
    for (char& c : text) {
      const auto byte = static_cast<unsigned char>(c);
      c = std::isalnum(byte) != 0 || c == '_' ? static_cast<char>(std::tolower(byte)) : '-';
    }
    return text.empty() ? "entry" : text;
  }

  void describe_page() {
    Guess& guess = first().hypercall_page;
    guess.value = image_.page_name();
    guess.comment = image_.page_clue();
  }

  // ---- instructions ----

  void decode_code() {
    code_.width = first().width;
    code_.image = &image_.elf();
    code_.instructions = image_.decoded();
    for (const std::string& trap : image_.traps()) {
      if (const std::optional<GuestAddress> address = find_symbol(image_.elf().symbols, trap)) {
        code_.traps.insert(address->value);
      }
    }
    for (const auto& [name, value] : request_.returns) {
      const std::vector<std::string>& traps = image_.traps();
      const std::optional<GuestAddress> address = find_symbol(image_.elf().symbols, name);
      if (!address || std::find(traps.begin(), traps.end(), name) == traps.end()) {
        throw InputError(fmt::format("--returns: expected functions that nobody defines: {} is none", name));
      }
      code_.returns[address->value] = static_cast<std::uint64_t>(value);
      first().returns_of[name] = {fmt::format("{}", value), "as --returns says"};
    }
    marks_ = std::any_of(code_.instructions.begin(), code_.instructions.end(), [](const Instruction& instruction) {
      return instruction.text.starts_with("test") && instruction.text.find("$0x80000000") != std::string::npos;
    });
  }

  // ---- vcpu_info ----

  void find_vcpu_info() {
    std::vector<GuestRange> data;
    for (const ElfSegment& segment : image_.elf().segments) {
      if (segment.writable) data.push_back(segment.range);
    }
    for (const VcpuInfoClue& clue : vcpu_info_clues(code_.instructions, first().width, data)) {
      const std::string name = image_.name_at(clue.address, Role::vcpu_info);
      if (name.empty()) continue;
      const char* const what = clue.pointer ? "guessed: loaded at {}, and bytes 0 and 1 are reached through it"
                                            : "guessed: byte 1 of it is stored to at {}";
      survey_.infos.push_back({{name, fmt::format(fmt::runtime(what), image_.place(clue.seen_at))}, clue.pointer});
      if (clue.pointer) code_.info_pointers.push_back(clue.address);
    }
    for (const Symbol& symbol : image_.elf().symbols) {
      if (image_.is_data(symbol.address) && image_.is_usable(symbol) && likeness(Role::vcpu_info, symbol.name) > 0) {
        survey_.infos.push_back({{symbol.name, "guessed from its name"}, true});
      }
    }
    first().no_info = survey_.infos.empty();
    if (survey_.infos.empty()) {
      first().info = {"", "the word that holds the vcpu_info's address (pointer), or the structure itself (symbol)"};
    } else {
      first().info = survey_.infos.front().guess;
      first().info_is_pointer = survey_.infos.front().pointer;
    }
  }

  // ---- the callback ----

  struct Candidate {
    const Symbol* symbol = nullptr;
    int score = 0;
  };

  std::vector<Candidate> callback_candidates() const {
    std::vector<Candidate> candidates;
    for (const Symbol& symbol : image_.elf().symbols) {
      const bool undefined = code_.traps.count(symbol.address.value) != 0;
      if (undefined || !image_.is_code(symbol.address) || !image_.is_usable(symbol)) continue;
      const bool said = symbol.name == request_.callback;
      if (!said && exception_from_name(symbol.name)) continue;
      const int score = said ? 1000 : 2 * likeness(Role::callback, symbol.name) + (symbol.global ? 1 : 0);
      if (said || (request_.callback.empty() && likeness(Role::callback, symbol.name) > 0)) {
        candidates.push_back({&symbol, score});
      }
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    return candidates;
  }

  void find_callback() {
    FirstVector event;
    event.name = "event";
    const std::vector<Candidate> candidates = callback_candidates();
    if (!request_.callback.empty() && candidates.empty()) {
      throw InputError(fmt::format("--callback: expected a symbol of the code of {}, once: {} is not", first().objects,
                                   request_.callback));
    }
    for (const Candidate& candidate : candidates) {
      const ProbeVector vector{candidate.symbol->address, false, true, 0, true, std::nullopt};
      const ProbeResult result = past_helpers(vector, probe_with_needs(vector));
      if (!result.call) {
        ask_for_returns(event, *candidate.symbol, result);
        ask_for_base(event, *candidate.symbol, result);
        first().notes.push_back(
            fmt::format("{} is not taken for the event callback: {}", candidate.symbol->name, reason_of(result)));
        continue;
      }
      event.symbol = {candidate.symbol->name, request_.callback.empty() ? kByName : "as --callback says"};
      note_event(event, candidate.symbol->address, result);
      break;
    }
    if (!event_call_) describe_nothing(event, candidates);
    if (first().interrupt_pointer && (!event_call_ || !event_call_->stack_switched)) first().interrupt_pointer.reset();
    first().vectors.push_back(std::move(event));
  }

  /// The same until it wants nothing more that can be had.
  ProbeResult probe_with_needs(const ProbeVector& vector) {
    constexpr unsigned kMostNeeds = 8;
    ProbeResult result = bases_.probe_from_bases(vector);
    for (unsigned i = 0; i < kMostNeeds && !result.call && result.need && meet(*result.need, vector); ++i) {
      result = bases_.probe_from_bases(vector);
    }
    return result;
  }

  bool is_undefined(const ProbeCall& call) const { return code_.traps.count(call.function.value) != 0; }

  /// Whether it is one more candidate. Behind a function that the objects define, only what nobody defines is, and what
  /// that function calls itself is not.
  bool is_candidate(const ProbeResult& next, const ProbeCall& last) const {
    if (!next.call || is_undefined(last)) return next.call.has_value();
    const bool behind = next.call->stack_switched || next.call->registers[Gpr::rsp] >= last.registers[Gpr::rsp];
    return is_undefined(*next.call) && behind;
  }

  /// Of several functions that are called with a frame, the first on another stack is the handler; else the first that
  /// nobody defines, since what the objects bring may as well be a part of the entry code; else the first.
  ProbeResult past_helpers(const ProbeVector& vector, ProbeResult first_call) {
    constexpr std::size_t kMost = 8;
    std::vector<ProbeResult> results{std::move(first_call)};
    while (results.back().call && results.size() < kMost) {
      code_.helpers.insert(results.back().call->function.value);
      const std::array bases{code_.gs_base, code_.fs_base};
      ProbeResult next = probe_with_needs(vector);
      if (!is_candidate(next, *results.back().call)) {
        code_.gs_base = bases[0];
        code_.fs_base = bases[1];
        break;
      }
      results.push_back(std::move(next));
    }
    const auto switched = std::find_if(results.begin(), results.end(), [](const ProbeResult& result) {
      return result.call && result.call->stack_switched;
    });
    const bool first_is_defined = results.size() > 1 && !is_undefined(*results.front().call);
    const auto chosen = switched == results.end() ? results.begin() + (first_is_defined ? 1 : 0) : switched;
    code_.helpers.clear();
    also_called_.clear();
    for (auto other = results.begin(); other != results.end(); ++other) {
      if (other == chosen || !other->call) continue;
      if (other < chosen) code_.helpers.insert(other->call->function.value);
      also_called_.push_back(image_.name_at(other->call->function));
    }
    return *chosen;
  }

  /// False where it cannot be.
  bool meet(const ProbeNeed& need, const ProbeVector& vector) {
    const std::string name = image_.name_at(need.address);
    switch (need.kind) {
      case ProbeNeed::Kind::function:
        if (image_.symbols().undefined.count(name) != 0) function_ = name;
        return false;
      case ProbeNeed::Kind::stack_pointer: {
        if (name.empty() || first().interrupt_pointer) return false;
        first().interrupt_pointer = {name, ""};
        code_.stack_pointers.push_back(need.address);
        return true;
      }
      case ProbeNeed::Kind::segment:
        return bases_.meet_segment(need.selector, vector);
    }
    return false;
  }

  /// The code goes on from what a function returns that nobody has said.
  void ask_for_returns(FirstVector& event, const Symbol& symbol, const ProbeResult& result) {
    if (result.trapped.empty() || event.symbol.known() || result.through) return;
    note_run(result);
    const std::string last = image_.name_at(result.trapped.back());
    event.symbol = {symbol.name, kByName};
    first().returns_of.emplace(
        last,
        Guess{"", fmt::format("what it returns, or, where that is not looked at, `clobbers = false` if it keeps flags "
                              "and registers: behind it the code stops at {}. `framefold new "
                              "--returns {}=N` goes on from there",
                              result.stopped, last)});
  }

  void ask_for_base(FirstVector& event, const Symbol& symbol, const ProbeResult& result) {
    if (!result.through || event.symbol.known()) return;
    note_run(result);
    event.symbol = {symbol.name, kByName};
    bases_.ask_for_base(result);
  }

  static std::string reason_of(const ProbeResult& result) {
    return result.stopped.empty() ? "it leaves before a function is called with a frame"
                                  : "it stops at " + result.stopped;
  }

  void describe_nothing(FirstVector& event, const std::vector<Candidate>& candidates) {
    if (!event.symbol.known()) {
      event.symbol.comment =
          "the function that the kernel registers for events, then run `framefold new --callback` "
          "with it: its frame can be measured";
      if (!candidates.empty()) event.symbol.comment += " (see the notes at the end for what was tried)";
    }
    if (!request_.callback.empty()) {
      event.symbol = {request_.callback, "as --callback says; what became of it is in the notes at the end"};
    }
    event.handler.comment = "the C function that the event callback calls with its frame";
    first().argument.comment = "the register that holds the frame's address there, or \"stack\"";
    first().frame_comment =
        fmt::format("bytes; then the offset of each register below. `framefold new {}` measures both",
                    !event.symbol.known()                          ? "--callback"
                    : first().gs_base && !first().gs_base->known() ? "--gs-base"
                    : first().fs_base && !first().fs_base->known() ? "--fs-base"
                                                                   : "--returns");
    first().alignment = first().width == Width::k64 ? 16 : 4;
    first().alignment_comment = "the ABI's";
    bases_.describe();
  }

  void note_event(FirstVector& event, GuestAddress address, const ProbeResult& result) {
    event_call_ = *result.call;
    note_run(result);
    bases_.describe();
    event.handler = handler_of(*result.call);
    if (event.handler.known() && !also_called_.empty()) {
      event.handler.comment = fmt::format("measured: called with a frame{}; so {} {}: check which is the C handler",
                                          result.call->stack_switched ? ", on another stack" : "",
                                          also_called_.size() == 1 ? "is" : "are", fmt::join(also_called_, ", "));
    }
    std::vector<MarkedCall> marked;
    for (const Segment segment : {Segment::ds, Segment::es, Segment::fs, Segment::gs}) {
      const ProbeResult run = probe(code_, {address, false, true, 0, true, segment}, first().objects);
      if (run.call) marked.push_back({segment, *run.call});
    }
    first().frame = measure_frame(*event_call_, marked, first().width);
    first().frame_comment =
        fmt::format("measured: {} general-purpose registers of a tagged context, where {} gets them",
                    first().frame->registers, event.handler.value);
    argument_votes_.push_back(result.call->frames);
    note_alignment(*result.call);
  }

  Guess handler_of(const ProbeCall& call) const {
    const std::string name = image_.name_at(call.function);
    if (name.empty())
      return {"", fmt::format("a symbol for the function at {:#x}, which is called", call.function.value)};
    return {name, "measured: called with a frame; check that it is the C handler"};
  }

  void note_run(const ProbeResult& result) {
    executed_.insert(result.executed.begin(), result.executed.end());
    for (const GuestAddress trap : result.trapped) {
      const std::string name = image_.name_at(trap);
      std::vector<std::string>& calls = first().calls;
      if (!name.empty() && std::find(calls.begin(), calls.end(), name) == calls.end()) calls.push_back(name);
    }
  }

  void note_alignment(const ProbeCall& call) {
    const std::uint64_t above = call.registers[Gpr::rsp] + word_size(first().width);
    for (unsigned alignment = 64; alignment >= 4; alignment /= 2) {
      if (above % alignment == 0) {
        alignment_ = std::min(alignment_, alignment);
        return;
      }
    }
  }

  // ---- exceptions and the NMI ----

  void find_exceptions() {
    std::set<unsigned> taken;
    for (const Symbol* const symbol : stubs()) {
      if (likeness(Role::nmi, symbol->name) > 0) {
        add_vector(*symbol, {2, "nmi", false}, taken);
      } else if (const std::optional<ExceptionName> name = exception_from_name(symbol->name)) {
        add_vector(*symbol, *name, taken);
      }
    }
    for (const Symbol* const symbol : stubs()) {
      if (const std::optional<ExceptionName> name = exception_from_mnemonic(symbol->name)) {
        if (!exception_from_name(symbol->name)) add_vector(*symbol, *name, taken);
      }
    }
  }

  /// What may be entered besides the event callback.
  std::vector<const Symbol*> stubs() const {
    std::vector<const Symbol*> found;
    for (const Symbol& symbol : image_.elf().symbols) {
      const bool trap = code_.traps.count(symbol.address.value) != 0;  // a C handler
      const std::vector<FirstVector>& vectors = survey_.first.vectors;
      const bool event = !vectors.empty() && symbol.name == vectors.front().symbol.value;
      if (!trap && !event && image_.is_code(symbol.address) && image_.is_usable(symbol)) found.push_back(&symbol);
    }
    return found;
  }

  /// What is wrong with it as the stub of an exception; empty: nothing, and its handler is called.
  std::string misfit(const ProbeResult& result) const {
    if (!result.call) return reason_of(result);
    if (!event_call_) return "";
    if (result.call->rip_offset != event_call_->rip_offset)
      return "its handler's frame has RIP at another offset than the event's";
    return result.call->function == event_call_->function ? "it calls the event's handler" : "";
  }

  /// Where no other symbol was taken for it, and the code does what the name promises.
  void add_vector(const Symbol& symbol, const ExceptionName& name, std::set<unsigned>& taken) {
    constexpr unsigned kNmi = 2;
    const bool nmi = name.number == kNmi;
    if (taken.count(name.number) != 0) return;
    const ProbeResult result =
        probe(code_, {symbol.address, name.error_code, nmi, name.number, false, std::nullopt}, first().objects);
    if (const std::string why = misfit(result); !why.empty()) {
      first().notes.push_back(fmt::format("{} is not described as {}, which its name looks like: {}", symbol.name,
                                          nmi ? "the NMI" : fmt::format("exception {}", name.number), why));
      return;
    }
    if (!event_call_) return;  // its frame is nothing without the event's
    taken.insert(name.number);
    FirstVector vector;
    vector.name = name.name;
    vector.kind = nmi ? DeliveryKind::nmi : DeliveryKind::exception;
    vector.number = name.number;
    vector.error_code = name.error_code;
    vector.marks = nmi && marks_;
    vector.symbol = {symbol.name, nmi ? "guessed from its name: check what is registered for NMIs"
                                      : "guessed from its name: check it in the trap table"};
    vector.handler = handler_of(*result.call);
    note_run(result);
    argument_votes_.push_back(result.call->frames);
    note_alignment(*result.call);
    if (name.error_code) error_code_votes_.push_back(result.call->error_code_in);
    first().vectors.push_back(std::move(vector));
  }

  // ---- how handlers are called ----

  void describe_calls() {
    if (!event_call_) return;
    const auto holds = [](const std::vector<ArgumentPlace>& places, const ArgumentPlace& wanted) {
      return std::any_of(places.begin(), places.end(),
                         [&](const ArgumentPlace& place) { return place.gpr == wanted.gpr; });
    };
    ArgumentPlace best = event_call_->frames.front();
    for (const ArgumentPlace& place : event_call_->frames) {
      const bool everywhere = std::all_of(argument_votes_.begin(), argument_votes_.end(),
                                          [&](const auto& votes) { return holds(votes, place); });
      if (everywhere) {
        best = place;
        break;
      }
    }
    first().argument = {best.gpr ? std::string(name_of(*best.gpr, first().width)) : "stack",
                        "measured: it holds the frame's address at the handler's first instruction"};
    describe_error_code(best);
    const unsigned abi = first().width == Width::k64 ? 16 : 4;
    first().alignment = abi;
    first().alignment_comment =
        alignment_ >= abi
            ? fmt::format("the ABI's, and measured: at least {} at every handler", abi)
            : fmt::format("the ABI's; measured: {} at one handler. Say what its compiler was told", alignment_);
  }

  void describe_error_code(const ArgumentPlace& argument) {
    if (error_code_votes_.empty() || !argument.gpr) return;
    constexpr std::array<Gpr, 4> kOrder{Gpr::rsi, Gpr::rdx, Gpr::rcx, Gpr::rax};
    for (const Gpr gpr : kOrder) {
      const bool everywhere = std::all_of(error_code_votes_.begin(), error_code_votes_.end(), [gpr](const auto& votes) {
        return std::find(votes.begin(), votes.end(), gpr) != votes.end();
      });
      if (everywhere) {
        first().error_code_argument = {std::string(name_of(gpr, first().width)),
                                       "measured: it holds the exception's error code there"};
        return;
      }
    }
  }

  /// Handlers apart.
  void list_labels() {
    std::set<std::string> others;
    for (const FirstVector& vector : first().vectors) {
      others.insert(vector.symbol.value);
      others.insert(vector.handler.value);
    }
    first().symbols = labels_near(image_, executed_, code_.traps, std::move(others));
  }

  const SurveyRequest& request_;
  ObjectImage image_;
  Survey survey_;
  ProbeCode code_;
  bool marks_ = false;
  BaseSurvey bases_;
  std::string function_;
  std::vector<std::string> also_called_;  // with a frame, on the event's way
  std::optional<ProbeCall> event_call_;
  std::vector<std::vector<ArgumentPlace>> argument_votes_;
  std::vector<std::vector<Gpr>> error_code_votes_;
  std::set<std::uint64_t> executed_;
  unsigned alignment_ = 64;
};

}  // namespace

Survey survey_objects(const SurveyRequest& request) {
  SurveyRequest wanted = request;
  while (true) {
    Surveyor surveyor(wanted);
    Survey survey = surveyor.survey();
    if (surveyor.function().empty()) return survey;
    wanted.functions.push_back(surveyor.function());
  }
}

}  // namespace framefold
