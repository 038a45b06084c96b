// Where a description does not hold: whether it does with one line changed, of those whose being wrong shows far from
// where it lies. A base, a handler or what a function does is seen only by what code does with it, much later; that it
// would hold with another one says which line it is.
#pragma once

#include "image/image.hpp"

namespace framefold {

/// `complaint` is what the check says of the description as it is ("file:12:3: key: ..."): of the line with which it
/// holds, instead or as well; as it is where no single change is known to help, or where it says itself what is wrong.
InputError repaired(const Entry& entry, const InputError& complaint);

}  // namespace framefold
