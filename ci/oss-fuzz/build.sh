#!/bin/bash -eux
# SPDX-License-Identifier: MIT

# Builds the fuzz binaries as OSS-Fuzz and ClusterFuzzLite ask for it: `compile` of their base builder runs this under
# `bash -eux`. ci/oss-fuzz/check.sh does the same on any machine, and holds the result against the contract.
#
# The environment is the contract's: SRC WORK OUT CC CXX CFLAGS CXXFLAGS LIB_FUZZING_ENGINE SANITIZER FUZZING_ENGINE
# ARCHITECTURE. None of it is changed here. FRAMEFOLD_SOURCE is for a tree that is not at $SRC/framefold; FRAMEFOLD_ENTRIES
# for the fuzz binaries of some entries only; FRAMEFOLD_COMMAND for a framefold command that is there already: dictionaries
# and seeds are made by it, and not by one that would have to be built.
#
# SANITIZER: address and undefined; coverage for its report. memory is refused: MemorySanitizer takes for uninitialised what
# code stores that it has not instrumented, and the code that Unicorn generates as it runs never is. The C side of Unicorn
# could be instrumented; the guest's memory would still have to be declared initialised as a whole, before each run and
# after it, so that nothing is left of what MemorySanitizer would look for there. What the guest itself does wrong with its
# memory, the oracle sees under each sanitizer.

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
    set +x
    sed -n '4,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
fi

if (($#)); then
    { set +x; } 2>/dev/null
    echo "build.sh: unknown argument \"$1\" (--help says more)" >&2
    exit 2
fi

source_folder=${FRAMEFOLD_SOURCE:-$SRC/framefold}
jobs=$(nproc)

if [[ $ARCHITECTURE != x86_64 || $SANITIZER == memory ]]; then
    echo "build.sh: ARCHITECTURE=$ARCHITECTURE SANITIZER=$SANITIZER: expected x86_64, and not memory" >&2
    exit 2
fi

# The emulator without the sanitizers: they slow each guest store down, and UBSan reports what QEMU does on purpose.
unicorn_option=-DFRAMEFOLD_UNICORN=auto # where its source is not there: the machine's own
if [[ -d $SRC/unicorn ]]; then
    env -u CFLAGS -u CXXFLAGS CC=clang CXX=clang++ cmake -S "$SRC/unicorn" -B "$WORK/unicorn-build" \
        -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DUNICORN_LEGACY_STATIC_ARCHIVE=ON -DUNICORN_ARCH=x86 \
        -DUNICORN_BUILD_TESTS=OFF -DUNICORN_FUZZ=OFF
    cmake --build "$WORK/unicorn-build" -j"$jobs"
    mkdir -p "$WORK/unicorn/lib"
    cp "$WORK/unicorn-build/libunicorn.a" "$WORK/unicorn/lib/"
    cp -R "$SRC/unicorn/include" "$WORK/unicorn/"
    unicorn_option=-DFRAMEFOLD_UNICORN_ROOT=$WORK/unicorn
fi

# AFL++ instruments by itself, without asking the compiler's flags; the list says what not.
if [[ $FUZZING_ENGINE == afl ]]; then
    export AFL_LLVM_DENYLIST=$source_folder/ci/oss-fuzz/afl-denylist.txt
fi

mapfile -t entries < <(cd "$source_folder/entry" && printf '%s\n' */entry.toml | sed 's|/.*||')
if [[ -n ${FRAMEFOLD_ENTRIES:-} ]]; then
    read -ra entries <<<"$FRAMEFOLD_ENTRIES"
fi
targets=("${entries[@]/%/_fuzzer}" "${entries[@]/%/_fuzzer_extras}")

# No build type: what $CFLAGS and $CXXFLAGS say is all. A warning of a compiler that nobody has tried is no error. The files of a
# folder are compiled together, which takes less time. Engines' own compilers are not asked to precompile headers.
cmake -S "$source_folder" -B "$WORK/framefold" -G Ninja -DCMAKE_BUILD_TYPE= -DCMAKE_COMPILE_WARNING_AS_ERROR=OFF \
    -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=0 \
    -DCMAKE_PREFIX_PATH="$SRC/dependencies" "$unicorn_option" \
    -DFRAMEFOLD_COMMAND="${FRAMEFOLD_COMMAND:-}" \
    -DFRAMEFOLD_STATIC=ON -DFRAMEFOLD_FUZZ=ON -DFRAMEFOLD_TESTS=OFF -DFRAMEFOLD_BENCH=OFF -DFRAMEFOLD_PRECOMPILE=OFF
cmake --build "$WORK/framefold" -j"$jobs" --target "${targets[@]}"

for fuzzer in "${entries[@]/%/_fuzzer}"; do
    cp "$WORK/framefold/entry/$fuzzer" "$WORK/framefold/entry/$fuzzer.dict" \
        "$WORK/framefold/entry/${fuzzer}_seed_corpus.zip" "$OUT/"
    cp "$source_folder/ci/oss-fuzz/fuzzer.options" "$OUT/$fuzzer.options"
done
