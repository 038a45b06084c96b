// An object that nothing describes yet, as an image: objects are linked with traps for what is undefined, and symbols
// are found by address.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/elf.hpp"
#include "image/instruction.hpp"
#include "image/relocatable.hpp"
#include "survey/symbol_names.hpp"

namespace framefold {

class ObjectImage {
 public:
  /// Reads `objects` and, where they are relocatable, links them. `description` is the path that their description will
  /// have. `functions`: of what is undefined and not called by name. Throws InputError where they are no image.
  ObjectImage(const std::vector<std::string>& objects, const std::string& description,
              const std::vector<std::string>& functions);

  Width width() const { return width_; }
  bool relocatable() const { return relocatable_; }
  /// What `image` of the description says.
  const std::string& objects() const { return objects_; }
  const ElfImage& elf() const { return image_; }
  const ObjectSymbols& symbols() const { return symbols_; }
  /// Functions that nobody defines.
  const std::vector<std::string>& traps() const { return traps_; }

  /// Empty: nothing looks like one.
  const std::string& page_name() const { return page_name_; }
  /// What it was told by, in a sentence.
  std::string page_clue() const;

  const ElfSegment* segment_of(GuestAddress address) const;
  /// The hypercall page apart.
  bool is_code(GuestAddress address) const;
  bool is_data(GuestAddress address) const;
  /// A symbol that a description can name: by a name that only it has.
  bool is_usable(const Symbol& symbol) const;
  /// The best name of an address for a role: several symbols may stand there. Empty: none does.
  std::string name_at(GuestAddress address, std::optional<Role> role = std::nullopt,
                      std::string_view except = {}) const;
  /// All of its code, the hypercall page apart.
  std::vector<Instruction> decoded() const;
  /// "symbol+0x12", by the nearest symbol before.
  std::string place(GuestAddress address) const;
  /// Bytes from a symbol to the next one, to its own end, or to its segment's.
  std::uint64_t room_at(const Symbol& symbol) const;

 private:
  void read(const std::vector<std::string>& objects, const std::string& description);
  void link(const std::string& description, const std::vector<std::string>& functions);
  void find_page();
  int page_score(const Symbol& symbol) const;

  Width width_ = Width::k64;
  bool relocatable_ = false;
  std::string objects_;
  ObjectSymbols symbols_;
  ElfImage image_;
  std::vector<std::string> traps_;
  std::string page_name_;
  GuestAddress page_{~std::uint64_t{0} - kPageSize};
};

}  // namespace framefold
