// Minimising: random inputs that show a known bug end in one scenario, never in another signature; the text that comes
// out reads back and says what each line is there for.
#include "report/minimize.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "image/input_file.hpp"
#include "report/scenario_parts.hpp"
#include "scenario/codec.hpp"
#include "scenario/mutator.hpp"
#include "scenario/toml.hpp"
#include "test/entries.hpp"

namespace framefold {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr std::size_t kMaxFile = 1 << 16;
constexpr std::uint64_t kSeed = 20260726;
constexpr std::uint64_t kMostTries = 200000;

/// Inputs a bug. The environment may ask for more (ci/minimize.sh).
std::uint64_t inputs_wanted() {
  const char* wanted = std::getenv("FRAMEFOLD_MINIMIZE_INPUTS");
  return wanted == nullptr ? 8 : std::strtoull(wanted, nullptr, 10);
}

struct Reproducer {
  std::string file;  // below reproducers/
  std::string entry;
};

std::vector<Reproducer> reproducers() {
  std::vector<Reproducer> all;
  for (const std::string& name : test::bundled_names()) {
    const fs::path folder = fs::path(FRAMEFOLD_REPRODUCERS) / name;
    if (!fs::exists(folder)) {
      continue;  // nothing is known of it
    }
    for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
      if (file.path().extension() == ".toml") {
        all.push_back({file.path().string(), name});
      }
    }
  }
  std::sort(all.begin(), all.end(), [](const Reproducer& a, const Reproducer& b) { return a.file < b.file; });
  return all;
}

ParsedScenario parse(const std::string& file, const Entry& entry) {
  const std::vector<std::uint8_t> bytes = read_input_file(file, kMaxFile);
  return from_toml({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file, entry);
}

class Minimize : public testing::TestWithParam<Reproducer> {
 protected:
  /// What this reproducer shows, as a target.
  MinimizeTarget target() {
    for (const Finding& finding : oracle_.judge(parsed_.scenario).view()) {
      if (signature_of(entry_, finding) == parsed_.notes.signature) {
        return {parsed_.notes.signature, finding.known >= 0};
      }
    }
    return {};
  }

  const Entry& entry_ = test::bundled_entry(GetParam().entry);
  Oracle oracle_{entry_};
  ParsedScenario parsed_ = parse(GetParam().file, entry_);
};

std::string test_name(const testing::TestParamInfo<Reproducer>& info) {
  std::string name = info.param.entry + "_" + fs::path(info.param.file).stem().string();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Reproducers, Minimize, testing::ValuesIn(reproducers()), test_name);

/// Random inputs of two kinds, by turns: far from the reproducer, and from an input of the fuzzer's corpus.
class RandomInputs {
 public:
  RandomInputs(const Entry& entry, const Scenario& reproducer) : entry_(entry), reproducer_(reproducer) {
    std::set<std::string> files;  // in an order of their own
    for (const fs::directory_entry& file : fs::directory_iterator(fs::path(FRAMEFOLD_CORPUS) / entry.name())) {
      files.insert(file.path().string());
    }
    for (const std::string& file : files) {
      corpus_.push_back(decode(read_input_file(file, kMaxFile), entry));
    }
  }

  Scenario next() {
    Scenario scenario = reproducer_;
    std::uint64_t mutations = 4 + random_.below(12);
    from_corpus_ = !from_corpus_;
    if (from_corpus_) {
      scenario = corpus_.at(random_.below(corpus_.size()));
      mutations = random_.below(8);
    }
    for (; mutations != 0; --mutations) {
      mutate(scenario, entry_, random_);
    }
    return scenario;
  }
  /// Whether the last one came from the corpus.
  bool from_corpus() const { return from_corpus_; }

 private:
  const Entry& entry_;
  const Scenario& reproducer_;
  std::vector<Scenario> corpus_;
  Random random_{kSeed};
  bool from_corpus_ = false;
};

TEST_P(Minimize, RandomInputsEndInOneScenario) {
  const MinimizeTarget wanted = target();
  const Scenario smallest = minimize(oracle_, parsed_.scenario, wanted).scenario;
  const std::uint64_t inputs = inputs_wanted();
  RandomInputs random(entry_, parsed_.scenario);
  std::uint64_t found = 0;
  std::uint64_t from_corpus = 0;
  std::uint64_t same = 0;
  std::uint64_t most = 0;
  for (std::uint64_t tries = 0; tries < kMostTries && found < inputs; ++tries) {
    const Scenario scenario = random.next();
    if (find_target(entry_, oracle_.judge(scenario), wanted) == nullptr) {
      continue;
    }
    ++found;
    from_corpus += random.from_corpus() ? 1 : 0;
    const Minimized result = minimize(oracle_, scenario, wanted);
    most = std::max(most, result.judged);
    EXPECT_NE(find_target(entry_, oracle_.judge(result.scenario), wanted), nullptr);
    same += result.scenario == smallest ? 1 : 0;
    if (std::getenv("FRAMEFOLD_MINIMIZE_SHOW") != nullptr && result.scenario != smallest) {
      std::printf("%s\n", annotated_toml(oracle_, result.scenario, wanted).c_str());
    }
  }
  ASSERT_EQ(found, inputs);
  if (std::getenv("FRAMEFOLD_MINIMIZE_INPUTS") != nullptr) {
    std::printf("minimize: %s: %llu of %llu the same (%llu from the corpus), at most %llu judged\n",
                wanted.signature.c_str(), static_cast<unsigned long long>(same),
                static_cast<unsigned long long>(inputs), static_cast<unsigned long long>(from_corpus),
                static_cast<unsigned long long>(most));
    std::fflush(stdout);
  }
  EXPECT_LE(inputs - same, std::max<std::uint64_t>(1, inputs / 20));
}

TEST_P(Minimize, KnownBugsNeedTwoArrivalsAndNoRegister) {
  const MinimizeTarget wanted = target();
  const Scenario smallest = minimize(oracle_, parsed_.scenario, wanted).scenario;
  EXPECT_LE(smallest.arrival_count, 2);
  EXPECT_EQ(smallest.context.gpr, decode({}, entry_).context.gpr);
  EXPECT_EQ(smallest.context.rflags, 0U);
  EXPECT_FALSE(ScenarioOrder(entry_).smaller(parsed_.scenario, smallest));
  EXPECT_EQ(minimize(oracle_, smallest, wanted).scenario, smallest);
}

TEST_P(Minimize, TextReadsBack) {
  const MinimizeTarget wanted = target();
  const Scenario smallest = minimize(oracle_, parsed_.scenario, wanted).scenario;
  for (const Scenario& scenario : {smallest, parsed_.scenario}) {
    const std::string text = annotated_toml(oracle_, scenario, wanted, parsed_.notes.explanation);
    const ParsedScenario again = from_toml(text, "text", entry_);
    EXPECT_EQ(again.scenario, scenario) << text;
    EXPECT_EQ(again.notes.signature, wanted.signature);
    EXPECT_EQ(again.notes.explanation, parsed_.notes.explanation);
  }
}

TEST(MinimizedText, SaysWhatEachLineContributes) {
  const Entry& entry = test::bundled_entry("minios-x86_64-table");
  Oracle oracle(entry);
  Scenario scenario;
  scenario.context.vector = static_cast<std::uint8_t>(entry.vectors.size() - 1);  // the NMI
  scenario.context.stack_offset = 8;
  scenario.arrival_count = 1;
  scenario.arrivals[0].distance = 61;
  canonicalise(scenario, entry);
  const std::string text = annotated_toml(oracle, scenario, {"minios-x86_64-table:nmi-masked:scrit+0x84", true});
  EXPECT_THAT(text, HasSubstr("vector = \"nmi\"  # an NMI interrupts kernel code; its handler marks the frame; "
                              "otherwise: it does not show\n"));
  EXPECT_THAT(text, HasSubstr("# without it: it does not show\nkind = \"event\"  # an event becomes pending"));
  EXPECT_THAT(text, HasSubstr("one less: nmi-masked:scrit+0x82; one more: critical-frame:hypercall_page+0x2e0\n"));
  EXPECT_THAT(text, HasSubstr("stack_offset = 8  # otherwise: the same\n"));
  EXPECT_THAT(text, AllOf(Not(HasSubstr("place")), Not(HasSubstr("rflags")), Not(HasSubstr("port"))));
}

/// What is known stays known, what is new new, and behind nothing else that is new.
TEST(MinimizeTargets, AreKnownOrNew) {
  const Entry& entry = test::bundled_entry("minios-x86_64-table");
  Oracle oracle(entry);
  const Verdict& verdict = oracle.judge(decode({}, entry));
  ASSERT_EQ(verdict.count, 1U);
  const std::string signature = signature_of(entry, verdict.findings[0]);
  EXPECT_NE(find_target(entry, verdict, {signature, true}), nullptr);
  EXPECT_EQ(find_target(entry, verdict, {signature, false}), nullptr);
  EXPECT_EQ(find_target(entry, verdict, {"minios-x86_64-table:runaway:scrit", false}), nullptr);
  Verdict fresh = verdict;
  fresh.findings[1] = fresh.findings[0];
  fresh.findings[0].known = -1;
  fresh.findings[0].kind = ViolationKind::runaway;
  fresh.count = 2;
  EXPECT_EQ(find_target(entry, fresh, {signature, true}), nullptr);
}

/// The handler asks for work in its fourth call; of the three before it, two are there only because of what goes.
TEST(MinimizedCalls, CountFewerWithoutAnArrival) {
  const Entry& entry = test::bundled_entry("xenlinux-x86_64-nesting");
  const std::string folder = std::string(FRAMEFOLD_REPRODUCERS) + "/xenlinux-x86_64-nesting/";
  const ParsedScenario known = parse(folder + "work-missed-scrit.toml", entry);
  ASSERT_EQ(known.scenario.arrival_count, 1);
  Scenario scenario = known.scenario;
  scenario.event_actions = {};
  scenario.event_actions[3].set_work_flag = true;
  scenario.arrival_count = 3;
  scenario.arrivals[0].distance = 47;
  scenario.arrivals[1].distance = 36;
  scenario.arrivals[2].distance = 37;
  canonicalise(scenario, entry);
  Oracle oracle(entry);
  const Verdict& verdict = oracle.judge(scenario);
  const auto shown = std::find_if(verdict.view().begin(), verdict.view().end(), [&](const Finding& finding) {
    return signature_of(entry, finding) == known.notes.signature;
  });
  ASSERT_NE(shown, verdict.view().end());
  EXPECT_EQ(minimize(oracle, scenario, {known.notes.signature, shown->known >= 0}).scenario, known.scenario);
}

/// An exception enters without a call of the event handler; the event, which is plainer, with one.
TEST(MinimizedCalls, CountOneMoreWhereAnEventEnters) {
  const Entry& entry = test::bundled_entry("xenlinux-x86_64-nesting");
  const std::string folder = std::string(FRAMEFOLD_REPRODUCERS) + "/xenlinux-x86_64-nesting/";
  Oracle oracle(entry);
  for (const auto& [file, distance] :
       {std::pair{"work-missed-scrit.toml", 47}, {"work-missed-hypercall_page.toml", 66}}) {
    const ParsedScenario known = parse(folder + file, entry);
    Scenario scenario = known.scenario;
    scenario.context.vector = 1;
    scenario.event_actions = {};
    scenario.event_actions[0].set_work_flag = true;
    scenario.arrivals[0].distance = static_cast<std::uint16_t>(distance);
    canonicalise(scenario, entry);
    ASSERT_NE(find_target(entry, oracle.judge(scenario), {known.notes.signature, true}), nullptr) << file;
    EXPECT_EQ(minimize(oracle, scenario, {known.notes.signature, true}).scenario, known.scenario) << file;
  }
}

TEST(ScenarioOrders, ArrivalsThenPlainnessThenDistance) {
  const Entry& entry = test::bundled_entry("minios-x86_64-table");
  const ScenarioOrder order(entry);
  const Scenario bare = decode({}, entry);
  Scenario odd = bare;
  odd.context.gpr[0] = 1;
  Scenario one = bare;
  one.arrival_count = 1;
  Scenario late = one;
  late.arrivals[0].distance = 1;
  Scenario tick = one;
  tick.arrivals[0].kind = ArrivalKind::tick;
  const std::vector<Scenario> sorted = {bare, odd, one, late, tick};
  for (std::size_t i = 0; i + 1 < sorted.size(); ++i) {
    EXPECT_TRUE(order.smaller(sorted[i], sorted[i + 1])) << i;
    EXPECT_FALSE(order.smaller(sorted[i + 1], sorted[i])) << i;
  }
  Scenario handler = bare;  // which raises an event itself: as good as an arrival
  handler.event_actions[0].nested_event = true;
  EXPECT_TRUE(order.smaller(odd, handler));
}

}  // namespace
}  // namespace framefold
