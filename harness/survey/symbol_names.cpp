#include "survey/symbol_names.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <vector>

namespace framefold {

namespace {

/// "xen_iret_start_crit" is four words; so is "xenIretStartCrit". A digit belongs to the word before it.
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words(1);
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool parts = std::isalnum(byte) == 0;
    const bool begins = std::isupper(byte) != 0 && !words.back().empty() && std::islower(words.back().back()) != 0;
    if ((parts || begins) && !words.back().empty()) {
      words.emplace_back();
    }
    if (!parts) {
      words.back() += c;
    }
  }
  for (std::string& word : words) {
    std::transform(word.begin(), word.end(), word.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  }
  return words;
}

struct WordWeight {
  Role role;
  std::string_view word;
  int weight;
};

constexpr int kNever = -20;  // outweighs whatever else a name says

// Words of entry codes that are known (XenLinux, Linux pvops, Mini-OS, FreeBSD, NetBSD), and their abbreviations.
constexpr auto kWeights = std::to_array<WordWeight>({
    {Role::callback, "callback", 6},
    {Role::callback, "upcall", 6},
    {Role::callback, "evtchn", 3},
    {Role::callback, "event", 3},
    {Role::callback, "events", 3},
    {Role::callback, "evt", 3},
    {Role::callback, "irq", 2},
    {Role::callback, "intr", 2},
    {Role::callback, "hypervisor", 1},
    {Role::callback, "xen", 1},
    {Role::callback, "entry", 2},
    {Role::callback, "failsafe", kNever},
    {Role::callback, "nmi", kNever},
    {Role::callback, "syscall", kNever},
    {Role::callback, "sysenter", kNever},
    {Role::callback, "do", kNever},
    {Role::callback, "stack", kNever},
    {Role::callback, "handler", -4},
    {Role::callback, "dispatch", -4},
    {Role::callback, "save", -4},
    {Role::callback, "handle", -4},
    {Role::callback, "fold", -4},
    {Role::callback, "fixup", -4},
    {Role::callback, "again", -4},
    {Role::callback, "call", -4},
    {Role::callback, "ret", -4},
    {Role::callback, "exit", -4},
    {Role::hypercall_page, "hypercall", 4},
    {Role::hypercall_page, "hypercalls", 4},
    {Role::hypercall_page, "page", 1},
    {Role::hypercall_page, "calls", 2},
    {Role::hypercall_page, "xen", 1},
    {Role::vcpu_info, "vcpu", 4},
    {Role::vcpu_info, "shared", 3},
    {Role::vcpu_info, "info", 1},
    {Role::vcpu_info, "pirq", kNever},
    {Role::per_cpu, "pda", 5},
    {Role::per_cpu, "percpu", 5},
    {Role::per_cpu, "cpu", 2},
    {Role::per_cpu, "per", 1},
    {Role::per_cpu, "pcpu", 5},
    {Role::thread_stack, "stack", 3},
    {Role::thread_stack, "thread", 3},
    {Role::thread_stack, "idle", 2},
    {Role::thread_stack, "init", 2},
    {Role::thread_stack, "boot", 2},
    {Role::thread_stack, "task", 2},
    {Role::thread_stack, "top", -4},
    {Role::thread_stack, "end", -4},
    {Role::thread_stack, "interrupt", kNever},
    {Role::thread_stack, "irq", kNever},
    {Role::thread_stack, "intr", kNever},
    {Role::thread_stack, "kernel", -1},
    {Role::thread_stack, "trap", -1},
    {Role::kernel_stack, "stack", 3},
    {Role::kernel_stack, "kernel", 3},
    {Role::kernel_stack, "trap", 3},
    {Role::kernel_stack, "user", 1},
    {Role::kernel_stack, "top", -4},
    {Role::kernel_stack, "end", -4},
    {Role::kernel_stack, "interrupt", kNever},
    {Role::kernel_stack, "irq", kNever},
    {Role::region_start, "scrit", 5},
    {Role::region_start, "crit", 3},
    {Role::region_start, "critical", 3},
    {Role::region_start, "start", 2},
    {Role::region_start, "begin", 2},
    {Role::region_start, "lo", 2},
    {Role::region_start, "first", 2},
    {Role::region_start, "fixup", -4},
    {Role::region_end, "ecrit", 5},
    {Role::region_end, "crit", 3},
    {Role::region_end, "critical", 3},
    {Role::region_end, "end", 2},
    {Role::region_end, "hi", 2},
    {Role::region_end, "last", 2},
    {Role::region_end, "fixup", -4},
    {Role::region_end, "callback", -4},
    {Role::fixup_table, "fixup", 3},
    {Role::fixup_table, "crit", 2},
    {Role::fixup_table, "critical", 2},
    {Role::fixup_table, "table", 2},
    {Role::fixup_table, "end", kNever},
    {Role::work_flag, "work", 3},
    {Role::work_flag, "resched", 3},
    {Role::work_flag, "flags", 1},
    {Role::work_flag, "ast", 2},
    {Role::nmi, "nmi", 5},
    {Role::nmi, "do", kNever},
    {Role::nmi, "handler", -4},
});

/// A role needs more than a word that many names have.
constexpr int threshold(Role role) {
  switch (role) {
    case Role::vcpu_info:
      return 3;
    case Role::region_start:
    case Role::region_end:
      return 1;
    case Role::hypercall_page:
    case Role::thread_stack:
    case Role::kernel_stack:
    case Role::fixup_table:
      return 2;
    case Role::callback:
    case Role::per_cpu:
    case Role::work_flag:
    case Role::nmi:
      return 0;
  }
  return 0;
}

struct ExceptionWords {
  ExceptionName exception;
  std::string_view phrase;    // anywhere in the name
  std::string_view mnemonic;  // a word of it
};

constexpr auto kExceptions = std::to_array<ExceptionWords>({
    {{0, "divide_error", false}, "divide", "de"},
    {{1, "debug", false}, "debug", "db"},
    {{3, "breakpoint", false}, "int3", "bp"},
    {{4, "overflow", false}, "overflow", "of"},
    {{5, "bounds", false}, "bounds", "br"},
    {{6, "invalid_op", false}, "invalid_op", "ud"},
    {{7, "device_not_available", false}, "device_not_available", "nm"},
    {{8, "double_fault", true}, "double_fault", "df"},
    {{9, "coprocessor_segment_overrun", false}, "segment_overrun", ""},
    {{10, "invalid_tss", true}, "invalid_tss", "ts"},
    {{11, "segment_not_present", true}, "segment_not_present", "np"},
    {{12, "stack_segment", true}, "stack_segment", "ss"},
    {{13, "general_protection", true}, "general_protection", "gp"},
    {{14, "page_fault", true}, "page_fault", "pf"},
    {{19, "simd_error", false}, "simd", "xm"},  // simd_coprocessor_error
    {{16, "coprocessor_error", false}, "coprocessor_error", "mf"},
    {{17, "alignment_check", true}, "alignment_check", "ac"},
    {{18, "machine_check", false}, "machine_check", "mc"},
    {{20, "virtualization_exception", false}, "virtualization_exception", "ve"},
    {{21, "control_protection", true}, "control_protection", "cp"},
});

/// "page_fault" as "pagefault".
std::string in_one_word(std::string_view phrase) {
  std::string word(phrase);
  word.erase(std::remove(word.begin(), word.end(), '_'), word.end());
  return word;
}

/// Beside a mnemonic of two letters, which may be anything: what a stub is called. Behind a prefix of any sort, it
/// takes the code to tell (exception_from_mnemonic).
bool is_stub_word(const std::string& word) {
  constexpr std::array<std::string_view, 8> kStubs{"entry", "stub",  "trap", "exception",
                                                   "exc",   "fault", "asm",  "vector"};
  return std::find(kStubs.begin(), kStubs.end(), word) != kStubs.end();
}

/// What C functions are called, and what lies about exceptions without being one's stub.
bool is_no_stub_word(const std::string& word) {
  constexpr std::array<std::string_view, 8> kOthers{"do", "handler", "dispatch", "early", "fixup", "table", "bad", "c"};
  return std::find(kOthers.begin(), kOthers.end(), word) != kOthers.end();
}

}  // namespace

int likeness(Role role, std::string_view name) {
  int score = 0;
  for (const std::string& word : words_of(name)) {
    for (const WordWeight& row : kWeights) {
      if (row.role == role && row.word == word) {
        score += row.weight;
      }
    }
  }
  return score > threshold(role) ? score : 0;
}

bool is_nameable(std::span<const Symbol> symbols, const Symbol& symbol) {
  return is_symbol_name(symbol.name) && !symbol.name.starts_with('.') &&
         find_symbol(symbols, symbol.name) == symbol.address;
}

std::string best_name_at(std::span<const Symbol> symbols, GuestAddress address, std::optional<Role> role,
                         std::string_view except) {
  const Symbol* best = nullptr;
  for (const Symbol& symbol : symbols) {
    if (symbol.address != address || symbol.name == except || !is_nameable(symbols, symbol)) continue;
    const bool better = best == nullptr || (role && likeness(*role, symbol.name) > likeness(*role, best->name));
    if (better) best = &symbol;
  }
  return best == nullptr ? std::string() : best->name;
}

std::optional<ExceptionName> exception_from_name(std::string_view name) {
  const std::vector<std::string> words = words_of(name);
  if (std::any_of(words.begin(), words.end(), is_no_stub_word)) {
    return std::nullopt;
  }
  std::string joined;
  for (const std::string& word : words) {
    joined += (joined.empty() ? "" : "_") + word;
  }
  const bool stub = std::any_of(words.begin(), words.end(), is_stub_word);
  const auto has_word = [&](std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  for (const ExceptionWords& row : kExceptions) {
    const bool has_phrase = joined.find(row.phrase) != std::string::npos || has_word(in_one_word(row.phrase));
    if (has_phrase || (stub && !row.mnemonic.empty() && has_word(row.mnemonic))) {
      return row.exception;
    }
  }
  return std::nullopt;
}

std::optional<ExceptionName> exception_from_mnemonic(std::string_view name) {
  const std::vector<std::string> words = words_of(name);
  if (words.size() < 2 || words.back().empty() || std::any_of(words.begin(), words.end(), is_no_stub_word))
    return std::nullopt;
  const auto row = std::find_if(kExceptions.begin(), kExceptions.end(),
                                [&](const ExceptionWords& each) { return each.mnemonic == words.back(); });
  return row == kExceptions.end() ? std::nullopt : std::optional(row->exception);
}

}  // namespace framefold
