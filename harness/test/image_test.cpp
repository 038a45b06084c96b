// Entries: a good image resolves to the right addresses; a bad one is refused with one line, whatever its bytes.
#include "image/image.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "test/tiny_image.hpp"

namespace framefold {
namespace {

using test::kTinyData;
using test::kTinyPage;
using test::kTinyText;
using test::tiny_description;
using test::tiny_elf;
using test::TinyElf;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr GuestAddress text_at(std::uint64_t offset) { return {kTinyText + offset}; }
constexpr GuestAddress data_at(std::uint64_t offset) { return {kTinyData + offset}; }

std::unique_ptr<const Entry> load(const std::string& description, const std::vector<std::uint8_t>& elf) {
  return load_entry(parse_description(description, "entry.toml"), elf, "tiny.elf");
}

std::unique_ptr<const Entry> load_tiny(Width width) { return load(tiny_description(width), tiny_elf(width).build()); }

std::string error_of(const std::string& description, const std::vector<std::uint8_t>& elf) {
  try {
    load(description, elf);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

std::string error_of(const TinyElf& elf) { return error_of(tiny_description(elf.width), elf.build()); }

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  const std::size_t place = text.find(what);
  EXPECT_NE(place, std::string::npos) << what;
  return text.replace(place, what.size(), with);
}

/// The tiny 64-bit image with one symbol elsewhere.
std::string error_with_symbol_at(const char* symbol, std::uint64_t address) {
  TinyElf elf = tiny_elf(Width::k64);
  for (test::TinySymbol& each : elf.symbols) {
    if (each.name == symbol) each.address = address;
  }
  return error_of(elf);
}

class BothWidths : public ::testing::TestWithParam<Width> {};
INSTANTIATE_TEST_SUITE_P(Image, BothWidths, ::testing::Values(Width::k32, Width::k64),
                         [](const auto& info) { return info.param == Width::k64 ? "Of64Bit" : "Of32Bit"; });

TEST_P(BothWidths, EntryResolves) {
  const std::unique_ptr<const Entry> entry = load_tiny(GetParam());
  EXPECT_EQ(entry->width(), GetParam());
  EXPECT_EQ(entry->event().address, text_at(0));
  EXPECT_EQ(entry->event().handler, text_at(24));
  ASSERT_EQ(entry->vectors.size(), 3U);
  EXPECT_EQ(entry->vectors[1].address, text_at(16));
  EXPECT_EQ(entry->vectors[1].handler, text_at(25));
  EXPECT_EQ(entry->vectors[2].address, text_at(19));
  EXPECT_EQ(entry->text.begin, text_at(0));
  EXPECT_EQ(entry->text.end, GuestAddress{kTinyPage});
  EXPECT_EQ(entry->hypercall_page, GuestAddress{kTinyPage});
  EXPECT_EQ(entry->region.begin, text_at(8));
  EXPECT_EQ(entry->region.end, text_at(16));
  EXPECT_EQ(entry->restore_end, text_at(14));
  EXPECT_EQ(entry->table->begin, text_at(27));
  EXPECT_EQ(entry->table->size(), 8U);
  EXPECT_EQ(entry->thread_stack.range.begin, data_at(0x1000));
  EXPECT_EQ(entry->thread_stack.range.end, data_at(0x5000));
  EXPECT_EQ(entry->interrupt_stack->range.begin, data_at(0x5000));
  EXPECT_EQ(entry->kernel_stack->range.end, data_at(0xd000));
  EXPECT_EQ(entry->nesting_count, data_at(0));
  EXPECT_EQ(entry->vcpu_info, GetParam() == Width::k64 ? data_at(8) : data_at(64));
  EXPECT_EQ(entry->work_flag, data_at(16));
  EXPECT_EQ(entry->counters.at(0).begin, data_at(20));  // a local symbol
  EXPECT_EQ(entry->counters.at(0).size(), 4U);
  EXPECT_EQ(entry->gs_base, GetParam() == Width::k64 ? data_at(128) : GuestAddress{});
  EXPECT_EQ(entry->known.at(0).first, text_at(12));
  EXPECT_EQ(entry->known.at(0).last, GuestAddress{kTinyPage + 0x2e9});
}

TEST_P(BothWidths, SegmentsAreWholePagesFilledWithZero) {
  TinyElf elf = tiny_elf(GetParam());
  elf.segments.push_back({0x300123, PF_R, {1, 2, 3}, 0x1000});
  const auto entry = load(tiny_description(GetParam()), elf.build());
  ASSERT_EQ(entry->segments.size(), 3U);
  EXPECT_TRUE(entry->segments[0].executable);
  EXPECT_FALSE(entry->segments[0].writable);
  EXPECT_EQ(entry->segments[0].address, GuestAddress{0x100000});
  EXPECT_EQ(entry->segments[0].bytes.size(), 0x2000U);
  EXPECT_EQ(entry->segments[0].bytes[0xfbf], 0);
  EXPECT_EQ(entry->segments[0].bytes[0xfc0], 0xfc);
  EXPECT_TRUE(entry->segments[1].writable);
  EXPECT_EQ(entry->segments[1].bytes[0], 0xff);
  EXPECT_EQ(entry->segments[1].bytes[4], 0);
  EXPECT_EQ(entry->segments[2].address, GuestAddress{0x300000});
  EXPECT_EQ(entry->segments[2].bytes.size(), 0x2000U);
  EXPECT_EQ(entry->segments[2].bytes[0x123], 1);
  EXPECT_EQ(entry->segments[2].bytes[0x122], 0);
}

TEST_P(BothWidths, InstructionsAreFoundByAddress) {
  const auto entry = load_tiny(GetParam());
  EXPECT_EQ(entry->instruction_at.size(), entry->text.size());
  for (const Instruction& instruction : entry->instructions) {
    EXPECT_EQ(find_instruction(*entry, instruction.address), &instruction);
  }
  EXPECT_TRUE(has(find_instruction(*entry, text_at(14))->flags, InstructionFlag::returns));
  EXPECT_EQ(find_instruction(*entry, text_at(2))->target, text_at(24));
  EXPECT_EQ(find_instruction(*entry, text_at(3)), nullptr);
  EXPECT_EQ(find_instruction(*entry, {kTinyText - 1}), nullptr);
  EXPECT_EQ(find_instruction(*entry, {kTinyPage}), nullptr);
}

TEST_P(BothWidths, EntryPointsLeadBlocks) {
  const auto entry = load_tiny(GetParam());
  // 0 callback, 7 behind the call, 8 target, 14 behind jne, 16 and 19 vectors, 22 behind jmp, 24 target.
  for (const unsigned offset : {0, 7, 8, 14, 16, 19, 22, 24}) {
    EXPECT_TRUE(has(find_instruction(*entry, text_at(offset))->flags, InstructionFlag::block_leader)) << offset;
  }
  for (const unsigned offset : {1, 2, 12, 17, 20, 23}) {
    EXPECT_FALSE(has(find_instruction(*entry, text_at(offset))->flags, InstructionFlag::block_leader)) << offset;
  }
}

TEST(Image, LocationsAreGivenInNamedSymbols) {
  const auto entry = load_tiny(Width::k64);
  EXPECT_EQ(format_location(*entry, text_at(0)), "hypervisor_callback");
  EXPECT_EQ(format_location(*entry, text_at(2)), "hypervisor_callback+0x2");
  EXPECT_EQ(format_location(*entry, text_at(12)), "scrit+0x4");
  EXPECT_EQ(format_location(*entry, text_at(15)), "restore_end+0x1");
  EXPECT_EQ(format_location(*entry, text_at(17)), "page_fault+0x1");  // ecrit lies there too: vectors are named first
  EXPECT_EQ(format_location(*entry, {kTinyPage + 0x2e9}), "hypercall_page+0x2e9");
  EXPECT_EQ(format_location(*entry, data_at(0x1008)), "thread_stack+0x8");
  EXPECT_EQ(format_location(*entry, {kTinyText - 1}), "0x100fbf");
  EXPECT_EQ(format_location(*entry, {0xdeadbeef0000}), "0xdeadbeef0000");
  EXPECT_EQ(format_location(*entry, {0x180000}), "0x180000");
  EXPECT_EQ(locate(*entry, {kTinyText - 1}), std::nullopt);
  EXPECT_EQ(locate(*entry, text_at(12))->symbol, "scrit");
  EXPECT_EQ(locate(*entry, text_at(12))->offset, 4U);
}

TEST(Image, LocationsParse) {
  const auto entry = load_tiny(Width::k64);
  EXPECT_EQ(parse_location(*entry, "scrit"), text_at(8));
  EXPECT_EQ(parse_location(*entry, "scrit+0x4"), text_at(12));
  EXPECT_EQ(parse_location(*entry, "scrit+10"), text_at(18));
  EXPECT_EQ(parse_location(*entry, "folds_seen"), data_at(20));
  EXPECT_EQ(parse_location(*entry, "ecrit"), text_at(16));
  EXPECT_EQ(parse_location(*entry, "nowhere"), std::nullopt);
  EXPECT_EQ(parse_location(*entry, "scrit+"), std::nullopt);
  EXPECT_EQ(parse_location(*entry, ""), std::nullopt);
  for (std::uint64_t offset = 0; offset < 40; ++offset) {
    EXPECT_EQ(parse_location(*entry, format_location(*entry, text_at(offset))), text_at(offset));
  }
}

TEST(Image, GlobalSymbolsWinOverLocalOnes) {
  TinyElf elf = tiny_elf(Width::k64);
  elf.symbols.insert(elf.symbols.begin(), {"scrit", kTinyText + 1, true});
  EXPECT_EQ(load(tiny_description(Width::k64), elf.build())->region.begin, text_at(8));
  elf.symbols.push_back({"folds_seen", kTinyData + 40, true});
  EXPECT_THAT(error_of(elf), HasSubstr("entry_data.counters[0].symbol: expected a symbol that tiny.elf defines, once"));
}

TEST(Image, BoundariesHaveNumbersOf16Bits) {
  constexpr std::uint64_t kCode = 0x1f000;  // of one-byte instructions
  TinyElf elf = tiny_elf(Width::k64);
  elf.segments[0].bytes.resize(kCode + 0x40, 0x90);
  elf.segments[0].bytes.back() = 0xc3;  // what ends in padding is cut
  elf.segments[0].memory_size = kCode + 0x1040;
  for (test::TinySymbol& symbol : elf.symbols) {
    if (symbol.name == "hypercall_page") symbol.address += kCode;
  }
  EXPECT_THAT(error_of(elf), HasSubstr("expected at most 65280 instructions"));
  elf.segments[0].bytes.resize(0x1000, 0x90);
  EXPECT_EQ(error_of(elf), "no error");
}

TEST(Image, TheTextIsTheCallbacksSideOfTheHypercallPage) {
  TinyElf elf = tiny_elf(Width::k64);
  test::TinySegment& text = elf.segments[0];
  // The page first, the code behind it.
  text.address = kTinyPage;
  text.bytes.insert(text.bytes.begin(), 0x1000, 0);
  for (test::TinySymbol& symbol : elf.symbols) {
    if (symbol.address < kTinyPage) symbol.address += kTinyPage + 0x1000 - kTinyText;
  }
  const auto entry = load(replaced(tiny_description(Width::k64), "hypercall_page+0x2e9", "scrit+6"), elf.build());
  EXPECT_EQ(entry->text.begin, GuestAddress{kTinyPage + 0x1000});
  EXPECT_EQ(entry->text.end, GuestAddress{kTinyPage + 0x1040});
  EXPECT_EQ(entry->instructions.front().address, GuestAddress{kTinyPage + 0x1000});
}

TEST(Image, EverySymbolOfTheDescriptionMustBeThere) {
  for (const Width width : {Width::k32, Width::k64}) {
    const std::string description = tiny_description(width);
    for (const test::TinySymbol& symbol : tiny_elf(width).symbols) {
      if (description.find('"' + symbol.name) == std::string::npos) continue;  // pointer or structure: one is not used
      TinyElf elf = tiny_elf(width);
      std::erase_if(elf.symbols, [&](const test::TinySymbol& each) { return each.name == symbol.name; });
      EXPECT_THAT(error_of(elf),
                  AllOf(StartsWith("entry.toml:"), HasSubstr("tiny.elf defines"), HasSubstr(symbol.name)));
    }
  }
}

TEST(Image, PlacesOfMessagesAreThoseOfTheKeys) {
  TinyElf elf = tiny_elf(Width::k64);
  std::erase_if(elf.symbols, [](const test::TinySymbol& each) { return each.name == "ecrit"; });
  EXPECT_EQ(error_of(elf), "entry.toml:44:7: region.end: expected a symbol that tiny.elf defines, once: ecrit is not");
}

TEST(Image, SymbolsInTheWrongPlaceAreRefused) {
  EXPECT_THAT(error_with_symbol_at("hypervisor_callback", kTinyData), HasSubstr("vectors[1].symbol: expected code"));
  EXPECT_THAT(error_with_symbol_at("hypervisor_callback", kTinyPage + 8), HasSubstr("outside the hypercall page"));
  EXPECT_THAT(error_with_symbol_at("page_fault", kTinyPage), HasSubstr("vectors[0].symbol: expected an address in"));
  EXPECT_THAT(error_with_symbol_at("do_page_fault", kTinyData), HasSubstr("vectors[0].handler: expected code"));
  EXPECT_THAT(error_with_symbol_at("do_hypervisor_callback", kTinyPage), HasSubstr("handler.symbol: expected code"));
  EXPECT_THAT(error_with_symbol_at("scrit", kTinyData), HasSubstr("region.start: expected an address in"));
  EXPECT_THAT(error_with_symbol_at("ecrit", kTinyText + 8), HasSubstr("region.end: expected an address behind scrit"));
  EXPECT_THAT(error_with_symbol_at("ecrit", kTinyData), HasSubstr("region.end: expected an address behind scrit"));
  EXPECT_THAT(error_with_symbol_at("restore_end", kTinyText + 7), HasSubstr("region.restore_end: expected"));
  EXPECT_THAT(error_with_symbol_at("critical_fixup_table", kTinyPage + 0xff9),
              HasSubstr("region.table: expected 8 bytes"));
  EXPECT_THAT(error_with_symbol_at("hypercall_page", kTinyPage - 16),
              HasSubstr("hypercall_page: expected hypercall_page on a page"));
  EXPECT_THAT(error_with_symbol_at("hypercall_page", kTinyData), HasSubstr("in an executable segment"));
  EXPECT_THAT(error_with_symbol_at("hypercall_page", kTinyPage + 0x1000), HasSubstr("expected 4096 bytes"));
  EXPECT_THAT(error_with_symbol_at("thread_stack", kTinyText), HasSubstr("stacks.thread.symbol: expected 16384 bytes"));
  EXPECT_THAT(error_with_symbol_at("thread_stack", kTinyData + 0x1008), HasSubstr("at a multiple of 16"));
  EXPECT_THAT(error_with_symbol_at("irqstack", kTinyData + 0x4ff0),
              HasSubstr("stacks.interrupt.symbol: expected irqstack outside"));
  EXPECT_THAT(error_with_symbol_at("kernel_stack", kTinyData + 0xc010), HasSubstr("expected 16384 bytes"));
  EXPECT_THAT(error_with_symbol_at("irqcount", kTinyText), HasSubstr("in a writable segment"));
  EXPECT_THAT(error_with_symbol_at("irqcount", kTinyData + 0x1000), HasSubstr("outside the stacks"));
  EXPECT_THAT(error_with_symbol_at("irqcount", kTinyData + 0xfffe), HasSubstr("expected 4 bytes"));
  EXPECT_THAT(error_with_symbol_at("HYPERVISOR_shared_info", kTinyText), HasSubstr("vcpu_info.pointer: expected"));
  EXPECT_THAT(error_with_symbol_at("work_flags", kTinyText), HasSubstr("work_flag.symbol: expected"));
  EXPECT_THAT(error_with_symbol_at("folds_seen", kTinyText), HasSubstr("entry_data.counters[0].symbol: expected"));
}

/// What another line describes is no counter. (Beside one, or of a function's, it may be.)
TEST(Image, CountersAndTheWorkFlagAreDataThatNoOtherLineDescribes) {
  const auto expect = [](const char* symbol, std::uint64_t offset, const char* key, const char* other) {
    EXPECT_THAT(error_with_symbol_at(symbol, kTinyData + offset),
                HasSubstr(fmt::format("{}: expected data of its own: {} is there", key, other)));
  };
  for (const auto& [offset, other] :
       {std::pair{std::uint64_t{3}, "stacks.nesting"}, std::pair{std::uint64_t{5}, "vcpu_info.pointer"},
        std::pair{std::uint64_t{135}, "stacks.interrupt.pointer"}}) {
    expect("folds_seen", offset, "entry_data.counters[0].symbol", other);
  }
  expect("work_flags", 0, "work_flag.symbol", "stacks.nesting");
  TinyElf elf = tiny_elf(Width::k32);
  for (const auto& [offset, is_free] : {std::pair{60U, true}, std::pair{61U, false}, std::pair{127U, false}}) {
    for (test::TinySymbol& symbol : elf.symbols) {
      if (symbol.name == "folds_seen") symbol.address = kTinyData + offset;
    }
    EXPECT_EQ(error_of(elf) == "no error", is_free) << offset;
  }
}

TEST(Image, BoundariesOfKnownViolationsMustBeCode) {
  const std::vector<std::uint8_t> elf = tiny_elf(Width::k64).build();
  const std::string text = tiny_description(Width::k64);
  EXPECT_THAT(error_of(replaced(text, "scrit+0x4", "thread_stack"), elf),
              HasSubstr("known[0].at[0]: expected an address in"));
  EXPECT_THAT(error_of(replaced(text, "scrit+0x4", "nowhere"), elf), HasSubstr("known[0].at[0]: expected a symbol"));
  EXPECT_THAT(error_of(replaced(text, "page+0x2e9", "page+0x1000"), elf),
              HasSubstr("known[0].at[1]: expected an address in"));
  EXPECT_THAT(error_of(replaced(text, "hypercall_page+0x2e9", "scrit"), elf),
              HasSubstr("known[0].at[1]: expected a boundary not before"));
}

TEST(Image, PlacesOfArguedMutantsMustBeCode) {
  const std::vector<std::uint8_t> elf = tiny_elf(Width::k64).build();
  const auto error_with = [&](std::string_view place) {
    return error_of(replaced(tiny_description(Width::k64), "\"ecrit\"]", fmt::format("\"{}\"]", place)), elf);
  };
  EXPECT_THAT(error_with("nowhere"), HasSubstr("equivalent_mutants[0].at[1]: expected a symbol"));
  EXPECT_THAT(error_with("thread_stack"), HasSubstr("equivalent_mutants[0].at[1]: expected an address in"));
  EXPECT_THAT(error_with("scrit + 4"), HasSubstr("equivalent_mutants[0].at[1]: expected \"symbol+0x12\""));
}

TEST(Image, OtherMachinesClassesAndTypesAreRefused) {
  TinyElf elf = tiny_elf(Width::k64);
  elf.machine = EM_AARCH64;
  EXPECT_EQ(error_of(elf), "entry.toml:6:9: image: tiny.elf: expected machine 62 (x86-64), found 183");
  elf = tiny_elf(Width::k32);
  elf.machine = EM_X86_64;
  EXPECT_EQ(error_of(elf), "entry.toml:4:9: image: tiny.elf: expected machine 3 (i386), found 62");
  elf = tiny_elf(Width::k64);
  elf.type = ET_REL;
  EXPECT_THAT(error_of(elf), HasSubstr("statically linked executable"));
  EXPECT_THAT(error_of(tiny_description(Width::k64), tiny_elf(Width::k32).build()),
              HasSubstr("width: expected 32, or a 64-bit ELF file: tiny.elf is a 32-bit one"));
  EXPECT_THAT(error_of(tiny_description(Width::k32), tiny_elf(Width::k64).build()),
              HasSubstr("width: expected 64, or a 32-bit ELF file: tiny.elf is a 64-bit one"));
  std::vector<std::uint8_t> big_endian = tiny_elf(Width::k64).build();
  big_endian[EI_DATA] = ELFDATA2MSB;
  EXPECT_THAT(error_of(tiny_description(Width::k64), big_endian),
              StartsWith("entry.toml:6:9: image: tiny.elf: expected "));
}

TEST(Image, SegmentsThatCannotBeLoadedAreRefused) {
  const auto error_with = [](test::TinySegment segment) {
    TinyElf elf = tiny_elf(Width::k64);
    elf.segments.push_back(std::move(segment));
    return error_of(elf);
  };
  EXPECT_EQ(error_with({0x300000, PF_R, {}, 0x1000}), "no error");
  EXPECT_THAT(error_with({0x300000, PF_R | PF_W | PF_X, {}, 0x1000}),
              HasSubstr("program header 2: expected a segment that is not both"));
  EXPECT_THAT(error_with({kTinyPage + 0xfff, PF_R, {}, 0x1000}), HasSubstr("share no page"));
  EXPECT_THAT(error_with({0x20fff0, PF_R, {}, 8}), HasSubstr("share no page"));
  EXPECT_THAT(error_with({0x300000, PF_R, {}, std::uint64_t{65} << 20}), HasSubstr("bytes of memory"));
  EXPECT_THAT(error_with({0x300000, PF_R, {}, (std::uint64_t{64} << 20) - 0x1000}), HasSubstr("bytes of memory"));
  EXPECT_THAT(error_with({0x300000, PF_R, {1, 2}, 1}), HasSubstr("expected no more in the file than in memory"));
  EXPECT_THAT(error_with({0xfffffffffffff000, PF_R, {}, 0x2000}), HasSubstr("addresses in the lower half"));
  EXPECT_THAT(error_with({0x7fffffff0000, PF_R, {}, 0x20000}), HasSubstr("addresses in the lower half"));
  EXPECT_THAT(error_with({0, PF_R, {}, 0x1000}), HasSubstr("above the first page, found 0x0"));
  EXPECT_THAT(error_with({0xffffffff80000000, PF_R, {}, 0x1000}), HasSubstr("addresses in the lower half"));
  EXPECT_EQ(error_with({0x100000000000, PF_R, {}, 0x1000}), "no error");
  TinyElf elf = tiny_elf(Width::k64);
  elf.segments[0].memory_size = 0x80040;
  EXPECT_EQ(error_of(elf), "no error");  // the text ends at the hypercall page
  for (test::TinySymbol& symbol : elf.symbols) {
    if (symbol.name == "hypercall_page") symbol.address = kTinyPage + 0x7f000;
  }
  EXPECT_THAT(error_of(elf), HasSubstr("bytes of code"));
  elf = tiny_elf(Width::k64);
  elf.segments.clear();
  EXPECT_THAT(error_of(elf), HasSubstr("expected program headers"));
}

TEST(Image, TruncatedFilesAreRefused) {
  for (const Width width : {Width::k32, Width::k64}) {
    const std::vector<std::uint8_t> whole = tiny_elf(width).build();
    for (std::size_t size = 0; size < whole.size(); size += size % 64 == 0 && size + 64 >= whole.size() ? 1 : 64) {
      const std::vector<std::uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_THAT(error_of(tiny_description(width), cut),
                  AllOf(StartsWith("entry.toml:"), HasSubstr(": image: tiny.elf: "), HasSubstr("expected "),
                        Not(HasSubstr("\n"))))
          << size;
    }
  }
}

/// One change to a file: a byte, a bit, a word of an interesting value, or a piece copied elsewhere.
void mutate(std::vector<std::uint8_t>& bytes, test::TinyRandom& random) {
  constexpr std::uint64_t kValues[] = {0,
                                       1,
                                       0x7f,
                                       0xff,
                                       0xffff,
                                       0x7fffffff,
                                       0xffffffff,
                                       0x10000000,
                                       0x4000000,
                                       ~std::uint64_t{0},
                                       std::uint64_t{1} << 63,
                                       0xfffffffffffff000};
  const std::size_t at = random.below(bytes.size() - 8);
  switch (random.below(4)) {
    case 0:
      bytes[at] = static_cast<std::uint8_t>(random.below(256));
      break;
    case 1:
      bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ (1U << random.below(8)));
      break;
    case 2:
      std::memcpy(&bytes[at], &kValues[random.below(std::size(kValues))], random.below(2) == 0 ? 4 : 8);
      break;
    default:
      std::memmove(&bytes[at], &bytes[random.below(bytes.size() - 8)], 8);
      break;
  }
}

// Half of the changes go to the ELF header and program headers, where they do most harm.
TEST(Image, TenThousandMutatedImagesLoadOrAreRefusedInOneLine) {
  test::TinyRandom random(2);
  unsigned good = 0;
  for (int i = 0; i < 10000; ++i) {
    const Width width = i % 2 == 0 ? Width::k64 : Width::k32;
    std::vector<std::uint8_t> bytes = tiny_elf(width).build();
    for (std::uint64_t changes = 1 + random.below(4); changes > 0; --changes) {
      std::vector<std::uint8_t> head(bytes.begin(), bytes.begin() + 192);
      const bool in_head = random.below(2) == 0;
      mutate(in_head ? head : bytes, random);
      if (in_head) std::copy(head.begin(), head.end(), bytes.begin());
    }
    try {
      load(tiny_description(width), bytes);
      ++good;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr("expected "), Not(HasSubstr("\n")))) << i;
    }
  }
  EXPECT_GT(good, 100U);
  EXPECT_LT(good, 9900U);
}

class Files : public ::testing::Test {
 protected:
  Files()
      : folder_(std::filesystem::path(::testing::TempDir()) /
                fmt::format("framefold-image-{}", std::chrono::steady_clock::now().time_since_epoch().count())) {
    std::filesystem::create_directories(folder_);
  }
  ~Files() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
  }
  void write_elf() const {
    const std::vector<std::uint8_t> elf = tiny_elf(Width::k64).build();
    write("tiny.elf", std::string(elf.begin(), elf.end()));
  }
  std::string error_of_file(const std::string& name) const {
    try {
      load_entry_file(path(name));
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  }

 private:
  std::filesystem::path folder_;
};

/// A linked image defines all of its data.
std::string tiny_description_of_linked() {
  return replaced(tiny_description(Width::k64), "[[data]]\nsymbol = \"elsewhere\"\nsize = 4096\n", "");
}

TEST_F(Files, AnEntryLoadsFromItsDescription) {
  write("entry.toml", tiny_description_of_linked());
  write_elf();
  EXPECT_EQ(load_entry_file(path("entry.toml"))->name(), "tiny-64");
}

TEST_F(Files, BadOnesAreNamed) {
  EXPECT_THAT(error_of_file("entry.toml"), StartsWith(path("entry.toml") + ": expected a file"));
  EXPECT_THAT(error_of_file(""), HasSubstr("expected a regular file"));
  write("entry.toml", tiny_description_of_linked());
  EXPECT_THAT(error_of_file("entry.toml"), HasSubstr(":9: image: " + path("tiny.elf") + ": expected a file"));
  write("tiny.elf", "");
  EXPECT_THAT(error_of_file("entry.toml"), HasSubstr(":9: image: " + path("tiny.elf") + ": expected an ELF file"));
  write("tiny.elf", "#!/bin/sh\n");
  EXPECT_THAT(error_of_file("entry.toml"), HasSubstr(":9: image: " + path("tiny.elf") + ": expected an ELF file"));
  write("entry.toml", replaced(tiny_description_of_linked(), "start = \"scrit\"", "start = \"crit\""));
  write_elf();
  EXPECT_EQ(error_of_file("entry.toml"), path("entry.toml") + ":43:9: region.start: expected a symbol that " +
                                             path("tiny.elf") + " defines, once: crit is not");
  write("entry.toml", tiny_description(Width::k64));
  EXPECT_THAT(
      error_of_file("entry.toml"),
      HasSubstr(": data: expected only where `image` is relocatable objects: " + path("tiny.elf") + " is none"));
}

}  // namespace
}  // namespace framefold
