// The guest's coverage for engines that do not read libFuzzer's extra counters (guest_counters.hpp), in the way that
// each of them reads: AFL++ and honggfuzz by calls on guards of our own, Centipede by its section of extra features.
// Which engine is there, the symbols say that it brings into the binary.
#pragma once

namespace framefold {

/// Tells the engine what the counters say of the run that has ended, and clears them. Under libFuzzer, which reads and
/// clears them itself, and without an engine: does nothing. Does not allocate.
void publish_guest_coverage();

}  // namespace framefold
