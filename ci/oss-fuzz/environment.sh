# shellcheck shell=bash
# The environment that OSS-Fuzz's base builder gives to build.sh (its Dockerfile, compile and compile_<engine>). To be
# sourced: enter_environment ENGINE SANITIZER FOLDER sets it, with SRC, WORK and OUT in FOLDER.

# available_engines: those that this machine can build with, a line each.
available_engines() {
    if command -v clang >/dev/null; then echo libfuzzer; fi
    if command -v afl-clang-fast >/dev/null && [[ -f $(afl_driver) ]]; then echo afl; fi
    if command -v hfuzz-clang >/dev/null && [[ -f ${HONGGFUZZ_LIBRARY:-} ]]; then echo honggfuzz; fi
}

afl_driver() { printf '%s\n' "${AFL_DRIVER:-/usr/lib/afl/libAFLDriver.a}"; }

enter_environment() {
    local engine=$1 sanitizer=$2 folder=$3 sanitizer_flags coverage_flags=-fsanitize=fuzzer-no-link
    mkdir -p "$folder/src" "$folder/work" "$folder/out"
    export SRC=$folder/src WORK=$folder/work OUT=$folder/out
    export CC=clang CXX=clang++ CCC=clang++ LIB_FUZZING_ENGINE=-fsanitize=fuzzer
    export SANITIZER=$sanitizer FUZZING_ENGINE=$engine ARCHITECTURE=x86_64 FUZZING_LANGUAGE=c++
    case $sanitizer in
        address) sanitizer_flags='-fsanitize=address -fsanitize-address-use-after-scope' ;;
        undefined)
            local checks=array-bounds,bool,builtin,enum,function,integer-divide-by-zero,null,object-size,return
            checks+=,returns-nonnull-attribute,shift,signed-integer-overflow,unreachable,vla-bound,vptr
            sanitizer_flags="-fsanitize=$checks,unsigned-integer-overflow -fno-sanitize-recover=$checks"
            export UBSAN_OPTIONS=silence_unsigned_overflow=1
            ;;
        memory) sanitizer_flags='-fsanitize=memory -fsanitize-memory-track-origins' ;;
        none) sanitizer_flags= ;;
        *) return 2 ;;
    esac
    case $engine in
        libfuzzer) ;;
        afl)
            CC=afl-clang-fast CXX=afl-clang-fast++ CCC=afl-clang-fast++ coverage_flags=
            LIB_FUZZING_ENGINE=$(afl_driver)
            export AFL_QUIET=1 ASAN_OPTIONS=detect_leaks=0:symbolize=0:detect_odr_violation=0:abort_on_error=1
            ;;
        honggfuzz)
            coverage_flags=-fsanitize-coverage=trace-pc-guard,indirect-calls,trace-cmp
            LIB_FUZZING_ENGINE=$HONGGFUZZ_LIBRARY
            ;;
        *) return 2 ;;
    esac
    export CFLAGS="-O1 -fno-omit-frame-pointer -gline-tables-only -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION"
    CFLAGS+=" $sanitizer_flags $coverage_flags"
    export CXXFLAGS=$CFLAGS # in the image with -stdlib=libc++, which is an archive there
}
