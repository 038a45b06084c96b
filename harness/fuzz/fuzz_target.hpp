// The functions by which fuzzing engines find a target (LLVM, FuzzerInterface.h).
//
// Environment: settings.hpp. Nothing here allocates, prints or opens a file between start-up and the end, unless a
// violation is found.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

/// Loads the entry of this binary, tests the emulator and gets everything ready. Bad environment: one line, exit 2; an
/// error of our own: one line, exit 3.
int LLVMFuzzerInitialize(int* argc, char*** argv);

/// Decodes and judges. Returns 0 always (honggfuzz takes -1 for fatal); aborts on a violation.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

/// Now and then what libFuzzer does to bytes, otherwise a mutation of the scenario.
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed);

/// Of scenarios; never calls LLVMFuzzerMutate, which libFuzzer does not allow here.
std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* data1, std::size_t size1, const std::uint8_t* data2,
                                      std::size_t size2, std::uint8_t* out, std::size_t max_out_size, unsigned seed);

}  // extern "C"
