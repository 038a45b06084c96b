#include "survey/object_image.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "image/image.hpp"
#include "image/input_file.hpp"
#include "image/link_objects.hpp"
#include "survey/object_kind.hpp"

namespace framefold {

namespace {

namespace fs = std::filesystem;

std::string best_name(const std::set<std::string>& names, Role role) {
  std::string best;
  for (const std::string& name : names) {
    if (likeness(role, name) > (best.empty() ? 0 : likeness(role, best))) best = name;
  }
  return best;
}

/// What is undefined and not called by its name alone, as functions are.
std::set<std::string> not_functions(const ObjectSymbols& symbols) {
  std::set<std::string> names;
  std::copy_if(
      symbols.undefined.begin(), symbols.undefined.end(), std::inserter(names, names.end()),
      [&](const std::string& name) { return symbols.called.count(name) == 0 || symbols.paged.count(name) != 0; });
  return names;
}

}  // namespace

ObjectImage::ObjectImage(const std::vector<std::string>& objects, const std::string& description,
                         const std::vector<std::string>& functions) {
  read(objects, description);
  link(description, functions);
  find_page();
}

void ObjectImage::read(const std::vector<std::string>& objects, const std::string& description) {
  const fs::path folder = fs::weakly_canonical(fs::absolute(description).parent_path());
  bool code = false;
  for (const std::string& object : objects) {
    const std::vector<std::uint8_t> bytes = read_input_file(object, kMaxElfSize);
    const ObjectKind kind = object_kind_of(bytes, object);
    if (objects.size() > 1 && !kind.relocatable) {
      throw InputError(fmt::format("{}: expected relocatable objects, or one linked image", object));
    }
    if (&object != objects.data() && kind.width != width_) {
      throw InputError(fmt::format("{}: expected objects of one width", object));
    }
    width_ = kind.width;
    code = code || kind.code;
    relocatable_ = kind.relocatable;
    if (relocatable_) add_symbols(bytes, object, symbols_);
    const std::string path = fs::weakly_canonical(object).lexically_relative(folder).string();
    objects_ += (objects_.empty() ? "" : " ") + (path.empty() ? fs::absolute(object).string() : path);
  }
  if (!code) throw InputError(fmt::format("{}: expected code: no section is executable", fmt::join(objects, " ")));
  for (const std::string& name : symbols_.defined) symbols_.undefined.erase(name);
}

/// What nothing describes becomes traps and zeroed data; the page and a stack are framefold's.
void ObjectImage::link(const std::string& description, const std::vector<std::string>& functions) {
  constexpr std::uint64_t kStack = 0x4000;
  Description draft;
  draft.file = description;
  draft.image = objects_;
  draft.width = width_;
  std::set<std::string> paged;
  std::set_intersection(symbols_.paged.begin(), symbols_.paged.end(), symbols_.undefined.begin(),
                        symbols_.undefined.end(), std::inserter(paged, paged.end()));
  page_name_ = best_name(paged, Role::hypercall_page);
  if (page_name_.empty() && !paged.empty()) page_name_ = *paged.begin();
  if (page_name_.empty()) page_name_ = best_name(not_functions(symbols_), Role::hypercall_page);
  if (page_name_.empty() && relocatable_) page_name_ = "hypercall_page";
  draft.hypercall_page = page_name_;
  draft.stacks.thread = {"thread_stack", kStack};
  for (const std::string& function : functions) {
    CallDescription& call = draft.calls.emplace_back();
    call.symbol = function;
  }
  const ImageFile file = read_image_file(draft);
  image_ = read_elf(file.elf, width_, file.name);
  traps_ = file.traps;
  traps_.insert(traps_.end(), functions.begin(), functions.end());
}

const ElfSegment* ObjectImage::segment_of(GuestAddress address) const {
  const auto at = std::find_if(image_.segments.begin(), image_.segments.end(),
                               [&](const ElfSegment& segment) { return segment.range.contains(address); });
  return at == image_.segments.end() ? nullptr : &*at;
}
bool ObjectImage::is_code(GuestAddress address) const {
  const ElfSegment* const segment = segment_of(address);
  return segment != nullptr && segment->executable && !GuestRange{page_, page_ + kPageSize}.contains(address);
}
bool ObjectImage::is_data(GuestAddress address) const {
  const ElfSegment* const segment = segment_of(address);
  return segment != nullptr && segment->writable;
}

bool ObjectImage::is_usable(const Symbol& symbol) const { return is_nameable(image_.symbols, symbol); }

std::string ObjectImage::name_at(GuestAddress address, std::optional<Role> role, std::string_view except) const {
  return best_name_at(image_.symbols, address, role, except);
}

std::string ObjectImage::place(GuestAddress address) const {
  const Symbol* before = nullptr;
  for (const Symbol& symbol : image_.symbols) {
    if (symbol.address <= address && is_usable(symbol) && segment_of(symbol.address) == segment_of(address)) {
      before = &symbol;
    }
  }
  if (before == nullptr) return fmt::format("{:#x}", address.value);
  if (before->address == address) return before->name;
  return fmt::format("{}+{:#x}", before->name, address - before->address);
}

std::uint64_t ObjectImage::room_at(const Symbol& symbol) const {
  const ElfSegment* const segment = segment_of(symbol.address);
  if (segment == nullptr) return 0;
  GuestAddress end = segment->range.end;
  for (const Symbol& other : image_.symbols) {
    if (other.address > symbol.address && other.address < end) end = other.address;
  }
  return std::min(end - symbol.address, symbol.size == 0 ? ~std::uint64_t{0} : symbol.size);
}

void ObjectImage::find_page() {
  int best = 0;
  for (const Symbol& symbol : image_.symbols) {
    const int score = page_score(symbol);
    if (score > best) {
      best = score;
      page_ = symbol.address;
      page_name_ = symbol.name;
    }
  }
}

std::string ObjectImage::page_clue() const {
  if (page_name_.empty()) return "the symbol of the page that the code calls hypercalls through, on a page boundary";
  if (!relocatable_ || symbols_.defined.count(page_name_) != 0)
    return "guessed: a page of code, by its name or by what fills it; check that Xen is told of it";
  if (symbols_.paged.count(page_name_) != 0)
    return "guessed: branches lead to multiples of 32 bytes behind it; framefold makes the page";
  return symbols_.undefined.count(page_name_) != 0 ? "guessed from the name; framefold makes the page"
                                                   : "nothing in the object looks like one: framefold makes the page";
}

/// By its name, by what fills it until Xen does, and by another object's branches.
int ObjectImage::page_score(const Symbol& symbol) const {
  const ElfSegment* const segment = segment_of(symbol.address);
  if (symbol.address.value % kPageSize != 0 || segment == nullptr || !segment->executable || !is_usable(symbol) ||
      segment->range.end - symbol.address < kPageSize) {
    return 0;
  }
  const std::uint8_t* const bytes = segment->bytes.data() + (symbol.address - segment->range.begin);
  const bool filled = std::all_of(bytes, bytes + kPageSize, [&](std::uint8_t byte) { return byte == bytes[0]; });
  const int by_name = likeness(Role::hypercall_page, symbol.name);
  return (symbols_.paged.count(symbol.name) != 0 ? 8 : 0) + (filled ? 4 : 0) + 2 * by_name;
}

std::vector<Instruction> ObjectImage::decoded() const {
  std::vector<Instruction> code;
  for (const ElfSegment& segment : image_.segments) {
    if (!segment.executable) continue;
    std::vector<GuestAddress> starts;
    for (const Symbol& symbol : image_.symbols) {
      if (segment.range.contains(symbol.address)) starts.push_back(symbol.address);
    }
    for (Instruction& instruction : decode(width_, segment.range.begin, segment.bytes, starts)) {
      if (is_code(instruction.address)) code.push_back(std::move(instruction));
    }
  }
  return code;
}

}  // namespace framefold
