// A minimised scenario as text that says why each line is there: found by judging the scenario without it.
#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "report/minimize.hpp"
#include "report/scenario_parts.hpp"
#include "report/timeline.hpp"
#include "scenario/toml.hpp"

namespace framefold {

namespace {

/// Where a line of the text belongs.
struct Line {
  std::string section;
  std::string key;
  std::size_t arrival = 0;
};

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, ", ")); }

class Annotator {
 public:
  Annotator(Oracle& oracle, const Scenario& scenario, const MinimizeTarget& target)
      : oracle_(oracle),
        entry_(oracle.entry()),
        scenario_(scenario),
        target_(target),
        parts_(scenario_parts(entry_, scenario.arrival_count)) {
    const Verdict& verdict = oracle_.judge(scenario_);
    shown_ = signatures(verdict);
    arrivals_ = oracle_.nested().arrivals;
  }

  std::string text(const ScenarioNotes& notes) {
    const auto label = [this](std::size_t i) { return arrival_label(oracle_.execution().guest(), arrivals_[i]); };
    std::istringstream lines(to_toml(scenario_, entry_, notes, label));
    std::string result;
    Line at;
    std::size_t arrival = 0;
    bool note = true;  // before the first section: what may span lines
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("[") && line.find('=') == std::string::npos) {
        note = false;
        const std::size_t begin = line.find_first_not_of('[');
        at.section = line.substr(begin, line.find(']') - begin);
        at.arrival = at.section == "arrival" ? arrival++ : 0;
        result += line + (at.section == "arrival" ? "\n" + without_arrival(at.arrival) : "\n");
      } else if (note || line.empty()) {
        result += line + "\n";
      } else {
        at.key = line.substr(0, line.find(' '));
        result += annotated(line, at);
      }
    }
    return result;
  }

 private:
  std::vector<std::string> signatures(const Verdict& verdict) const {
    std::vector<std::string> all;
    for (const Finding& finding : verdict.view()) {
      all.push_back(signature_of(entry_, finding));
    }
    return all;
  }

  /// What judging a scenario shows instead.
  std::string effect(Scenario other) {
    canonicalise(other, entry_);
    const Verdict& verdict = oracle_.judge(other);
    if (find_target(entry_, verdict, target_) != nullptr) {
      return "the same";
    }
    std::vector<std::string> news;
    for (const std::string& signature : signatures(verdict)) {
      if (std::find(shown_.begin(), shown_.end(), signature) == shown_.end()) {
        news.push_back(signature.substr(entry_.name().size() + 1));
      }
    }
    return news.empty() ? "it does not show" : joined(news);
  }

  std::string without_arrival(std::size_t left_out) {
    Scenario other = scenario_;
    std::copy(other.arrivals.begin() + static_cast<std::ptrdiff_t>(left_out) + 1,
              other.arrivals.begin() + other.arrival_count,
              other.arrivals.begin() + static_cast<std::ptrdiff_t>(left_out));
    --other.arrival_count;
    if (left_out < other.arrival_count) {
      Arrival& next = other.arrivals[left_out];
      next.distance = static_cast<std::uint16_t>(next.distance + scenario_.arrivals[left_out].distance);
    }
    return fmt::format("# without it: {}\n", effect(other));
  }

  bool on_line(const ScenarioPart& part, const Line& at) const {
    return part.section == at.section && part.key == at.key && part.arrival == at.arrival;
  }

  /// The line with its comment; nothing where it says what is so anyway.
  std::string annotated(const std::string& line, const Line& at) {
    if (at.key == "distance") {
      return fmt::format("{}  # {}\n", line, distance_comment(at.arrival));
    }
    Scenario plain = scenario_;
    bool odd = false;
    std::string plain_word;
    for (const ScenarioPart& part : parts_) {
      if (on_line(part, at) && !is_plain(part, scenario_)) {
        odd = true;
        part.set(plain, part.plain(scenario_));
      }
    }
    const bool kept = at.key == "kind" || (at.section == "context" && at.key == "vector");
    if (!odd && !kept) {
      return "";
    }
    const std::string meaning = meaning_of(at);
    const std::string needed = odd ? fmt::format("otherwise: {}", effect(plain)) : "";
    return fmt::format("{}  # {}{}{}\n", line, meaning, meaning.empty() || needed.empty() ? "" : "; ", needed);
  }

  std::string distance_comment(std::size_t i) {
    const std::uint16_t distance = scenario_.arrivals[i].distance;
    std::string text = fmt::format("boundaries {}", i == 0 ? "from where Xen enters" : "behind the arrival before");
    if (distance > 0) {
      text += "; one less: " + effect(moved(i, static_cast<std::uint16_t>(distance - 1)));
    }
    return text + "; one more: " + effect(moved(i, static_cast<std::uint16_t>(distance + 1)));
  }

  Scenario moved(std::size_t i, std::uint16_t distance) const {
    Scenario other = scenario_;
    other.arrivals[i].distance = distance;
    return other;
  }

  /// What a value stands for, where the key does not say it.
  std::string meaning_of(const Line& at) const {
    const Context& context = scenario_.context;
    if (at.section == "arrival") {
      return at.key == "kind" ? kind_meaning(scenario_.arrivals[at.arrival]) : "";
    }
    if (at.key == "vector") {
      return vector_meaning(entry_.vectors[context.vector].description, context);
    }
    if (at.key == "mask") {
      return "events were masked";
    }
    return "";
  }

  static std::string vector_meaning(const VectorDescription& vector, const Context& context) {
    const std::string where = context.mode == GuestMode::user ? "user code" : "kernel code";
    switch (vector.kind) {
      case DeliveryKind::event:
        return fmt::format("an event interrupts {}", where);
      case DeliveryKind::exception:
        return fmt::format(
            "an exception in {}{}", where,
            vector.masks_events ? "; its delivery masks events" : "; its delivery leaves the mask alone");
      case DeliveryKind::nmi:
        return fmt::format("an NMI interrupts {}{}", where, vector.marks ? "; its handler marks the frame" : "");
    }
    return "";
  }

  static std::string kind_meaning(const Arrival& arrival) {
    switch (arrival.kind) {
      case ArrivalKind::event:
        return "an event becomes pending, and Xen takes control";
      case ArrivalKind::tick:
        return arrival.spurious ? "Xen sets evtchn_upcall_pending, with no port, and takes control"
                                : "Xen takes control, with nothing new";
      case ArrivalKind::nmi:
        return "an NMI";
      case ArrivalKind::exception:
        return "the instruction faults";
    }
    return "";
  }

  Oracle& oracle_;
  const Entry& entry_;
  const Scenario& scenario_;
  const MinimizeTarget& target_;
  std::vector<ScenarioPart> parts_;
  std::vector<std::string> shown_;
  std::array<ArrivalRecord, kMaxArrivals> arrivals_{};
};

}  // namespace

std::string annotated_toml(Oracle& oracle, const Scenario& scenario, const MinimizeTarget& target,
                           const std::string& explanation) {
  ScenarioNotes notes;
  notes.entry = oracle.entry().name();
  notes.signature = target.signature;
  notes.explanation = explanation;
  return Annotator(oracle, scenario, target).text(notes);
}

}  // namespace framefold
