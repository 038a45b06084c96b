// What relocatable objects do with a name that they do not define, held against what the description says that it is.
#pragma once

#include "image/description.hpp"
#include "image/relocatable.hpp"

namespace framefold {

/// `symbols` are those of all objects. Throws InputError.
void check_uses(const Description& description, const ObjectSymbols& symbols);

}  // namespace framefold
