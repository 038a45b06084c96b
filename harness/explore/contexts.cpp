#include "explore/contexts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

#include "xen/abi.hpp"

namespace framefold {

namespace {

constexpr std::array<std::uint8_t, 4> kMasks = {0, 1, 0x80, 0xff};  // one of each MaskClass
constexpr std::uint8_t kPendingPort = 1;
constexpr std::uint8_t kMaskedPort = 5;

MaskClass mask_class(std::uint8_t mask) {
  if (mask <= 1) {
    return mask == 0 ? MaskClass::zero : MaskClass::one;
  }
  return mask % 2 == 0 ? MaskClass::even : MaskClass::odd;
}

/// Stack tops are aligned to 16, and so is what a context leaves free above (layout::kAboveStack): the offset alone
/// decides.
StackAlignment alignment_of(std::uint8_t stack_offset) {
  if (stack_offset % 16 == 0) {
    return StackAlignment::by_16;
  }
  if (stack_offset % 8 == 0) {
    return StackAlignment::by_8;
  }
  return stack_offset % 4 == 0 ? StackAlignment::by_4 : StackAlignment::none;
}

/// Stack offset for an alignment.
std::uint8_t offset_for(StackAlignment alignment) {
  constexpr std::array<std::uint8_t, 4> kOffsets = {0, 8, 4, 5};
  return kOffsets[static_cast<std::size_t>(alignment)];
}

void set_data(Scenario& scenario, const Entry& entry, DataValues values) {
  constexpr std::uint64_t kOtherBits = 0x5a3c'96e1'2d87'4bf0;
  constexpr std::uint64_t kWritten = 0x5157'4f52'4445'4431;  // nobody's tag
  const bool first = values == DataValues::first;
  Context& context = scenario.context;
  for (std::size_t i = 0; i < kGprCount; ++i) {
    const std::uint64_t tag = register_tag(static_cast<Gpr>(i), entry.width());
    context.gpr[i] = first ? tag : tag ^ kOtherBits;
  }
  // Each flag both ways. ZF and SF together, without OF, and TF and NT, which no delivery leaves, are what neither an
  // instruction nor a handler leaves: flags of a context that are those of the entry code by chance would make states
  // one that are two otherwise.
  constexpr std::uint64_t kFirstFlags = 0x0c0 | rflags::kAc | 1U << 21;
  constexpr std::uint64_t kSecondFlags = 0x815 | rflags::kTf | rflags::kNt;
  const std::uint64_t direction = context.rflags & rflags::kDf;
  context.rflags = (first ? kFirstFlags : kSecondFlags) | direction;
  // Each bit both ways, but for the one that Xen clears in a page fault's from kernel mode.
  context.error_code = first ? 0x1234 : 0xedcf;
  if (context.place == ContextPlace::resume_page) {
    context.place_offset = 0x40;
  }
  context.port = kPendingPort;
  context.masked_port = context.has_masked_port ? kMaskedPort : 0;
  scenario.frame_write.rax_value = first ? kWritten : ~kWritten;
  scenario.frame_write.rip_offset = first ? 0x33 : 0xc7;
}

/// The canonical scenario of a class, or of a neighbour where that class does not exist.
Scenario scenario_for(const ContextClass& wanted, const Entry& entry, DataValues values) {
  Scenario scenario;
  Context& context = scenario.context;
  context.vector = wanted.vector;
  context.mode = wanted.mode;
  context.stack = wanted.stack;
  context.place = wanted.region_offset < 0 ? ContextPlace::resume_page : ContextPlace::region;
  context.place_offset = static_cast<std::uint16_t>(std::max<std::int16_t>(wanted.region_offset, 0));
  context.mask = kMasks[static_cast<std::size_t>(wanted.mask)];
  context.pending = wanted.pending;
  context.nmi_masked = wanted.nmi_masked;
  context.null_data_segments = wanted.null_data_segments;
  context.rflags = wanted.direction ? rflags::kDf : 0;
  context.stack_offset = offset_for(wanted.alignment);
  context.has_masked_port = scenario.event_actions[0].unmask_port = wanted.unmasks_port;
  scenario.frame_write.rax = scenario.frame_write.rip = wanted.writes_frame;
  set_data(scenario, entry, values);
  canonicalise(scenario, entry);
  return scenario;
}

/// Calls `visit` with each variation.
template <typename Visit>
void vary(ContextClass& context, Visit visit) {
  visit(context.nmi_masked);
  visit(context.writes_frame);
  visit(context.direction);
  visit(context.null_data_segments);
  visit(context.unmasks_port);
  visit(context.alignment);
}

std::size_t count_variations(ContextClass context) {
  std::size_t count = 0;
  vary(context, [&](auto& field) { count += field != std::decay_t<decltype(field)>{} ? 1 : 0; });
  return count;
}

/// What contexts that resume alike have in common.
auto resumption_of(const ContextClass& c) {
  return std::tuple(c.mode, c.stack, c.region_offset, c.alignment, c.direction, c.null_data_segments, c.nmi_masked,
                    c.writes_frame, c.unmasks_port, c.mask != MaskClass::zero);
}

/// Sets the dimensions one after the other and keeps each class once.
class Enumeration {
 public:
  Enumeration(const Entry& entry, DataValues values, Crossing crossing)
      : entry_(entry), values_(values), crossing_(crossing) {}

  std::vector<Scenario> all() {
    for (std::size_t vector = 0; vector < entry_.vectors.size(); ++vector) {
      wanted_.vector = static_cast<std::uint8_t>(vector);
      for (const GuestMode mode : {GuestMode::kernel, GuestMode::user}) {
        for (const ContextStack stack : {ContextStack::thread, ContextStack::interrupt}) {
          wanted_.mode = mode;
          wanted_.stack = stack;
          add_places();
        }
      }
    }
    std::stable_sort(scenarios_.begin(), scenarios_.end(), [](const Scenario& a, const Scenario& b) {
      return resumption_of(class_of(a)) < resumption_of(class_of(b));
    });
    return std::move(scenarios_);
  }

 private:
  void add_places() {
    const auto places = crossing_ == Crossing::none ? 0 : static_cast<std::int32_t>(entry_.region.size());
    for (std::int32_t offset = -1; offset < places; ++offset) {
      wanted_.region_offset = static_cast<std::int16_t>(offset);
      for (const MaskClass mask : {MaskClass::zero, MaskClass::one, MaskClass::even, MaskClass::odd}) {
        wanted_.mask = mask;
        wanted_.pending = 0;
        add_nmi_masks();
        for (const std::uint8_t pending : entry_.description.pending_values) {
          wanted_.pending = pending;
          add_nmi_masks();
        }
      }
    }
    wanted_.region_offset = -1;
  }

  void add_nmi_masks() {
    for (const bool nmi_masked : {false, true}) {
      wanted_.nmi_masked = nmi_masked;
      add_data();
    }
  }

  void add_data() {
    for (unsigned bits = 0; bits < 16; ++bits) {
      wanted_.writes_frame = (bits & 1) != 0;
      wanted_.direction = (bits & 2) != 0;
      wanted_.null_data_segments = (bits & 4) != 0;
      wanted_.unmasks_port = (bits & 8) != 0;
      for (const StackAlignment alignment :
           {StackAlignment::by_16, StackAlignment::by_8, StackAlignment::by_4, StackAlignment::none}) {
        wanted_.alignment = alignment;
        const Scenario scenario = scenario_for(wanted_, entry_, values_);
        const ContextClass found = class_of(scenario);
        const bool crossed =
            crossing_ == Crossing::all || count_variations(found) <= (crossing_ == Crossing::each ? 1 : 0);
        if (found == wanted_ && crossed && seen_.insert(found).second) {
          scenarios_.push_back(scenario);
        }
      }
    }
  }

  const Entry& entry_;
  DataValues values_;
  Crossing crossing_;
  ContextClass wanted_;
  std::set<ContextClass> seen_;
  std::vector<Scenario> scenarios_;
};

std::string_view name_of(StackAlignment alignment) {
  constexpr std::array<std::string_view, 4> kNames = {"", ", RSP 8 mod 16", ", RSP 4 mod 8", ", RSP odd"};
  return kNames[static_cast<std::size_t>(alignment)];
}

template <typename Get>
std::size_t count_values(const std::vector<ContextClass>& classes, Get get) {
  std::set<std::decay_t<decltype(get(classes.front()))>> values;
  for (const ContextClass& c : classes) {
    values.insert(get(c));
  }
  return values.size();
}

}  // namespace

ContextClass class_of(const Scenario& scenario) {
  const Context& context = scenario.context;
  ContextClass c;
  c.vector = context.vector;
  c.mode = context.mode;
  c.stack = context.stack;
  c.region_offset =
      static_cast<std::int16_t>(context.place == ContextPlace::region ? static_cast<int>(context.place_offset) : -1);
  c.mask = mask_class(context.mask);
  c.pending = context.pending;
  if (c.region_offset >= 0 || c.mask == MaskClass::even || c.mask == MaskClass::odd) {
    return c;
  }
  c.nmi_masked = context.nmi_masked;
  c.alignment = context.mode == GuestMode::kernel ? alignment_of(context.stack_offset) : StackAlignment::by_16;
  c.direction = (context.rflags & rflags::kDf) != 0;
  c.null_data_segments = context.null_data_segments;
  c.writes_frame = scenario.frame_write.rax || scenario.frame_write.rip;
  // What is pending with a mask of 0 is taken at once, together with what the handler unmasks.
  c.unmasks_port = context.has_masked_port && scenario.event_actions[0].unmask_port && c.mask == MaskClass::zero;
  return c;
}

ContextClass base_of(const ContextClass& context) {
  ContextClass base = context;
  vary(base, [](auto& field) { field = {}; });
  return base;
}

std::vector<ContextClass> base_and_variations(const ContextClass& context) {
  std::vector<ContextClass> classes{base_of(context)};
  ContextClass all = context;
  std::size_t index = 0;
  vary(all, [&](auto& field) {
    if (field != std::decay_t<decltype(field)>{}) {
      ContextClass one = context;
      std::size_t other = 0;
      vary(one, [&](auto& variation) {
        if (other++ != index) {
          variation = {};
        }
      });
      classes.push_back(one);
    }
    ++index;
  });
  return classes;
}

std::vector<Scenario> enumerate_contexts(const Entry& entry, DataValues values, Crossing crossing) {
  return Enumeration(entry, values, crossing).all();
}

bool resume_alike(const ContextClass& a, const ContextClass& b) { return resumption_of(a) == resumption_of(b); }

std::string describe_context(const ContextClass& context, const Entry& entry) {
  constexpr std::array<std::string_view, 4> kMaskNames = {"0", "1", "0x80", "0xff"};
  std::string text = entry.vectors[context.vector].description.name;
  text += context.mode == GuestMode::user ? ", user" : fmt::format(", kernel on {}", name_of(context.stack));
  if (context.region_offset >= 0) {
    text += fmt::format(", RIP in the region +{:#x}", context.region_offset);
  }
  text += fmt::format(", mask {}", kMaskNames[static_cast<std::size_t>(context.mask)]);
  if (context.pending != 0) {
    text += fmt::format(", pending {:#x}", context.pending);
  }
  text += context.nmi_masked ? ", NMI masked" : "";
  text += context.writes_frame ? ", handler writes the frame" : "";
  text += context.direction ? ", DF" : "";
  text += context.null_data_segments ? ", null DS" : "";
  text += context.unmasks_port ? ", handler unmasks a port" : "";
  text += name_of(context.alignment);
  return text;
}

std::vector<Dimension> dimensions_of(const std::vector<ContextClass>& classes) {
  if (classes.empty()) {
    return {};
  }
  return {{"vectors", count_values(classes, [](const ContextClass& c) { return c.vector; })},
          {"modes", count_values(classes, [](const ContextClass& c) { return c.mode; })},
          {"stacks", count_values(classes, [](const ContextClass& c) { return c.stack; })},
          {"places of RIP", count_values(classes, [](const ContextClass& c) { return c.region_offset; })},
          {"masks", count_values(classes, [](const ContextClass& c) { return c.mask; })},
          {"pending bytes", count_values(classes, [](const ContextClass& c) { return c.pending; })},
          {"NMI masks", count_values(classes, [](const ContextClass& c) { return c.nmi_masked; })},
          {"RSP alignments", count_values(classes, [](const ContextClass& c) { return c.alignment; })},
          {"DF", count_values(classes, [](const ContextClass& c) { return c.direction; })},
          {"DS", count_values(classes, [](const ContextClass& c) { return c.null_data_segments; })},
          {"frame writes", count_values(classes, [](const ContextClass& c) { return c.writes_frame; })},
          {"ports unmasked", count_values(classes, [](const ContextClass& c) { return c.unmasks_port; })}};
}

}  // namespace framefold
