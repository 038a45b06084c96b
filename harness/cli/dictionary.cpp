#include "cli/dictionary.hpp"

#include <fmt/format.h>

#include <set>

#include "cli/deliverable.hpp"
#include "run/trace.hpp"
#include "scenario/codec.hpp"

namespace framefold {

namespace {

/// Boundaries, counted from the entry vector, before which the window is open.
class WindowSink : public TraceSink {
 public:
  void record(const TraceEvent& event) override {
    if (event.reference) {
      return;
    }
    if (event.kind == TraceEvent::Kind::window_open) {
      open_ = true;
    } else if (event.kind == TraceEvent::Kind::window_closed || event.kind == TraceEvent::Kind::resumption) {
      open_ = false;
    } else if (open_ && event.kind == TraceEvent::Kind::boundary) {
      steps_.push_back(event.step);
    }
  }
  const std::vector<std::uint32_t>& steps() const { return steps_; }

 private:
  bool open_ = false;
  std::vector<std::uint32_t> steps_;
};

/// Where arrivals matter most: at once, and at the first, the middle and the last boundary of each context's window.
std::set<std::uint16_t> distances(FeatureProbe& probe, const std::vector<Scenario>& contexts) {
  std::set<std::uint16_t> found = {0};
  for (const Scenario& context : contexts) {
    WindowSink sink;
    probe.oracle().execution().set_trace(&sink);
    probe.run(context);
    probe.oracle().execution().set_trace(nullptr);
    const std::vector<std::uint32_t>& steps = sink.steps();
    if (!steps.empty()) {
      for (const std::uint32_t step : {steps.front(), steps[steps.size() / 2], steps.back()}) {
        found.insert(static_cast<std::uint16_t>(step));
      }
    }
  }
  return found;
}

void add_token(std::string& text, std::string_view name, std::span<const std::uint8_t> bytes) {
  text += fmt::format("{}=\"", name);
  for (const std::uint8_t byte : bytes) {
    text += fmt::format("\\x{:02x}", byte);
  }
  text += "\"\n";
}

/// Of each kind, ticks of both: a spurious one is rare among the mutations of a fuzzer that knows nothing of it.
std::vector<Arrival> arrivals_of(const Entry& entry) {
  std::vector<Arrival> arrivals = all_arrivals(entry);
  for (const std::uint8_t value : entry.description.pending_values) {
    Arrival spurious;
    spurious.kind = ArrivalKind::tick;
    spurious.pending_value = value;
    spurious.spurious = true;
    arrivals.push_back(spurious);
  }
  return arrivals;
}

}  // namespace

std::string make_dictionary(const Entry& entry) {
  FeatureProbe probe(entry);
  const std::vector<Scenario> contexts = all_contexts(entry);
  std::string text = fmt::format(
      "# {}: made by `framefold corpus dictionary`.\n\n# Contexts: the header of an input.\n", entry.name());
  for (std::size_t i = 0; i < contexts.size(); ++i) {
    const Encoded encoded = encode(contexts[i], entry);
    add_token(text, fmt::format("context_{}", i), encoded.view().first(kHeaderSize));
  }
  text += "\n# Arrivals: a record behind the header.\n";
  const std::set<std::uint16_t> at = distances(probe, contexts);
  std::size_t number = 0;
  for (const Arrival& arrival : arrivals_of(entry)) {
    for (const std::uint16_t distance : at) {
      const Encoded encoded = encode(with_arrival(decode({}, entry), arrival, distance), entry);
      add_token(text, fmt::format("{}_{}_after_{}", name_of(arrival.kind), number, distance),
                encoded.view().subspan(kHeaderSize, kArrivalSize));
    }
    ++number;
  }
  return text;
}

}  // namespace framefold
