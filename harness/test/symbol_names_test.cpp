// What names of stubs say.
#include "survey/symbol_names.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>

namespace framefold::test {
namespace {

TEST(SymbolNames, AStubsMayHaveItsWordsApartOrNot) {
  for (const char* name : {"page_fault", "asm_page_fault", "pagefault", "pagefault_entry", "pf_entry"}) {
    const std::optional<ExceptionName> exception = exception_from_name(name);
    ASSERT_TRUE(exception) << name;
    EXPECT_EQ(exception->number, 14U) << name;
  }
  for (const char* name : {"do_page_fault", "home_page", "mode_bug", "pf", "fault_"}) {
    EXPECT_FALSE(exception_from_name(name)) << name;
  }
}

TEST(SymbolNames, LinuxNamesOfStubsAreKnown) {
  const std::map<std::string, unsigned> known = {{"divide_error", 0},         {"int3", 3},
                                                 {"invalid_op", 6},           {"device_not_available", 7},
                                                 {"double_fault", 8},         {"coprocessor_segment_overrun", 9},
                                                 {"invalid_TSS", 10},         {"segment_not_present", 11},
                                                 {"stack_segment", 12},       {"general_protection", 13},
                                                 {"coprocessor_error", 16},   {"alignment_check", 17},
                                                 {"machine_check", 18},       {"simd_coprocessor_error", 19},
                                                 {"asm_exc_page_fault", 14},  {"asm_exc_simd_coprocessor_error", 19},
                                                 {"asm_exc_divide_error", 0}, {"asm_exc_coproc_segment_overrun", 9}};
  for (const auto& [name, number] : known) {
    const std::optional<ExceptionName> exception = exception_from_name(name);
    ASSERT_TRUE(exception) << name;
    EXPECT_EQ(exception->number, number) << name;
  }
}

TEST(SymbolNames, AMnemonicBehindAnyPrefixMayBeOne) {
  for (const auto& [name, number] :
       {std::pair{"kite_de", 0U}, std::pair{"kite_gp", 13U}, std::pair{"x_y_pf", 14U}, std::pair{"kite_MC", 18U}}) {
    EXPECT_FALSE(exception_from_name(name)) << name;
    const std::optional<ExceptionName> exception = exception_from_mnemonic(name);
    ASSERT_TRUE(exception) << name;
    EXPECT_EQ(exception->number, number) << name;
  }
  for (const char* name : {"gp", "do_gp", "gp_kite", "kite_gpf", "coprocessor_"}) {
    EXPECT_FALSE(exception_from_mnemonic(name)) << name;
  }
}

}  // namespace
}  // namespace framefold::test
