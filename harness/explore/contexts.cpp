#include "explore/contexts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

#include "scenario/context_places.hpp"
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

/// Calls `visit` with each variation.
template <typename Class, typename Visit>
void vary(Class& context, Visit visit) {
  visit(context.nmi_masked);
  visit(context.writes_rax);
  visit(context.writes_rip);
  visit(context.direction);
  visit(context.null_data_segments);
  visit(context.unmasks_port);
  visit(context.alignment);
}

/// Flags but DF, and an error code.
struct FlagData {
  std::uint32_t flags;
  std::uint16_t error_code;
};

/// Of a context without variations, with one of those of `vary` alone (but an alignment), and with any others, by
/// alignment. In these rows no two bits have the same column, nor the opposite one: each two are there in all four
/// ways, together with the rows' complements.
///
/// Flags of a context that are those of the entry code by chance would make states one that are two otherwise. What
/// neither an instruction nor a handler leaves is ZF and SF together, and TF and NT, which no delivery leaves: each row
/// and each complement has one of them.
constexpr std::array<FlagData, 14> kFlagData = {{{0x2400c0, 0x1234},
                                                 {0x204805, 0x41ae},
                                                 {0x204054, 0x9305},
                                                 {0x2401c5, 0x77b8},
                                                 {0x244810, 0xd969},
                                                 {0x200104, 0x99cd},
                                                 {0x244085, 0xf73b},
                                                 {0x004090, 0x3e7e},
                                                 {0x200994, 0x14c9},
                                                 {0x2401c1, 0x3cf2},
                                                 {0x004915, 0xedcb},
                                                 {0x040184, 0xeb1f},
                                                 {0x040110, 0xcdd0},
                                                 {0x040140, 0x9c2c}}};
constexpr std::size_t kOneAlignment = 7;  // behind the other variations alone
constexpr std::size_t kMoreVariations = 10;

const FlagData& flag_data(const ContextClass& context) {
  std::size_t varied = 0;
  std::size_t last = 0;
  std::size_t index = 0;
  vary(context, [&](const auto& field) {
    ++index;
    if (field != std::decay_t<decltype(field)>{}) {
      ++varied;
      last = index;
    }
  });
  const auto alignment = static_cast<std::size_t>(context.alignment);
  if (varied > 1) {
    return kFlagData[kMoreVariations + alignment];
  }
  return kFlagData[last < kOneAlignment ? last : kOneAlignment + alignment - 1];
}

/// What a class leaves open: each bit of it both ways in the two passes.
void set_data(Scenario& scenario, const ContextClass& wanted, const Entry& entry, DataValues values) {
  constexpr std::uint64_t kWritten = 0x5157'4f52'4445'4431;  // nobody's tag
  const bool first = values == DataValues::first;
  Context& context = scenario.context;
  for (std::size_t i = 0; i < kGprCount; ++i) {
    const std::uint64_t tag = register_tag(static_cast<Gpr>(i), entry.width());
    context.gpr[i] = first ? tag : ~tag;
  }
  const FlagData& data = flag_data(wanted);
  context.rflags |= (first ? data.flags : ~data.flags) & kContextFlags & ~rflags::kDf;
  // Xen clears a bit in a page fault's from kernel mode: with that, too, none is another vector's.
  constexpr std::uint32_t kOfVector = 0x0101;
  context.error_code = (first ? data.error_code : ~data.error_code) ^ wanted.vector * kOfVector;
  if (context.place == ContextPlace::resume_page) {
    context.place_offset = first == wanted.direction ? kFirstTwin : 0x40;  // one pass has both
  }
  context.port = kPendingPort;
  // RIP in the region has the first pass alone.
  const bool other = !first || (wanted.region_offset >= 0 && wanted != base_of(wanted));
  context.has_masked_port = wanted.unmasks_port || other;
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
  scenario.event_actions[0].unmask_port = wanted.unmasks_port;
  scenario.frame_write.rax = wanted.writes_rax;
  scenario.frame_write.rip = wanted.writes_rip;
  set_data(scenario, wanted, entry, values);
  canonicalise(scenario, entry);
  return scenario;
}

/// What contexts that resume alike have in common.
auto resumption_of(const ContextClass& c) {
  return std::tuple(c.mode, c.stack, c.region_offset, c.alignment, c.direction, c.null_data_segments, c.nmi_masked,
                    c.writes_rax, c.writes_rip, c.unmasks_port, c.mask != MaskClass::zero);
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
    const bool user = entry_.description.user_mode && wanted_.mode == GuestMode::user;
    const auto places = crossing_ == Crossing::none || !user ? 0 : static_cast<std::int32_t>(entry_.critical.size());
    for (std::int32_t offset = -1; offset < places; ++offset) {
      wanted_.region_offset = static_cast<std::int16_t>(offset);
      for (const MaskClass mask : {MaskClass::zero, MaskClass::one, MaskClass::even, MaskClass::odd}) {
        wanted_.mask = mask;
        wanted_.pending = 0;
        add_variations();
        for (const std::uint8_t pending : entry_.description.pending_values) {
          wanted_.pending = pending;
          add_variations();
        }
      }
    }
    wanted_.region_offset = -1;
  }

  void add_variations() {
    add(wanted_);
    if (crossing_ == Crossing::none) {
      return;
    }
    const bool plain = wanted_.region_offset < 0 && wanted_.mask <= MaskClass::one;
    if (plain) {
      add_one_at_a_time();
    }
    if (plain && crossing_ == Crossing::all) {
      for (unsigned bits = 0; bits <= kAllBits; ++bits) {
        add(varied(bits, StackAlignment::by_16));
        add_each_alignment(bits);
      }
    } else if (meets_pairs()) {
      add_all_at_once();
    }
  }

  /// Each pending byte meets every variation by itself: of the others, the least will do.
  bool meets_pairs() const {
    const bool event = entry_.vectors[wanted_.vector].description.kind == DeliveryKind::event;
    return crossing_ != Crossing::each &&
           wanted_.pending == (event ? entry_.description.pending_values.front() : std::uint8_t{0});
  }

  void add_one_at_a_time() {
    for (unsigned bit = 1; bit <= kAllBits; bit <<= 1) {
      if ((bit & kWrites) == 0 || (meets_pairs() && bit == kOneWrite[wanted_.mask == MaskClass::zero ? 0 : 1])) {
        add(varied(bit, StackAlignment::by_16));
      }
    }
    add(varied(kWrites, StackAlignment::by_16));
    add_each_alignment(0);
  }

  /// Exceptions have all of the variations, and so with each alignment.
  void add_all_at_once() {
    if (entry_.vectors[wanted_.vector].description.kind == DeliveryKind::exception) {
      add_each_alignment(kAllBits);
    } else {
      add(varied(kAllBits, StackAlignment::by_8));
    }
  }

  /// But 16, which is no variation.
  void add_each_alignment(unsigned bits) {
    for (const StackAlignment alignment : {StackAlignment::by_8, StackAlignment::by_4, StackAlignment::none}) {
      add(varied(bits, alignment));
    }
  }

  ContextClass varied(unsigned bits, StackAlignment alignment) const {
    ContextClass c = wanted_;
    c.nmi_masked = (bits & 1) != 0;
    c.writes_rax = (bits & 2) != 0;
    c.writes_rip = (bits & 4) != 0;
    c.direction = (bits & 8) != 0;
    c.null_data_segments = (bits & 16) != 0;
    c.unmasks_port = (bits & 32) != 0;
    c.alignment = alignment;
    return c;
  }

  /// Or of what there is, the nearest: the same for both passes.
  void add(const ContextClass& wanted) {
    const ContextClass found = class_of(scenario_for(wanted, entry_, values_));
    if (base_of(found) == base_of(wanted) && seen_.insert(found).second) {
      scenarios_.push_back(scenario_for(found, entry_, values_));
    }
  }

  static constexpr unsigned kWrites = 2 | 4;                    // as one variation, of Crossing::each
  static constexpr std::array<unsigned, 2> kOneWrite = {2, 4};  // with events on, and with events masked
  static constexpr unsigned kAllBits = 63;

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
  c.nmi_masked = context.nmi_masked;
  c.alignment = context.mode == GuestMode::kernel ? alignment_of(context.stack_offset) : StackAlignment::by_16;
  c.direction = (context.rflags & rflags::kDf) != 0;
  c.null_data_segments = context.null_data_segments;
  c.writes_rax = scenario.frame_write.rax;
  c.writes_rip = scenario.frame_write.rip;
  // What is pending with a mask of 0 is taken at once, together with what the handler unmasks.
  c.unmasks_port = context.has_masked_port && scenario.event_actions[0].unmask_port && c.mask == MaskClass::zero;
  return c;
}

ContextClass base_of(const ContextClass& context) {
  ContextClass base = context;
  vary(base, [](auto& field) { field = {}; });
  return base;
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
  text += context.writes_rax ? ", handler writes RAX" : "";
  text += context.writes_rip ? ", handler writes RIP" : "";
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
          {"frame writes",
           count_values(classes, [](const ContextClass& c) { return std::pair(c.writes_rax, c.writes_rip); })},
          {"ports unmasked", count_values(classes, [](const ContextClass& c) { return c.unmasks_port; })}};
}

}  // namespace framefold
