#!/usr/bin/env bash
# Everything that a change must pass: set-up, then the build and its tests, optimised and under the sanitizers.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly presets=(release sanitize) # the quick one first: most mistakes show there

usage() {
    cat <<END
usage: ci/test.sh [--help]

Installs what is missing (ci/deps.sh --browser), then builds and tests framefold as each of these presets: ${presets[*]};
then holds two versions of Unicorn against each other; breaks each rule of ci/oss-fuzz/check_out.py to see it fail; builds a fuzz
binary as OSS-Fuzz does, for each engine and with each sanitizer once, and applies the rules to them and the tests of the engines.
What takes longer is for hand or night: ci/oss-fuzz/check.sh (all four builds, each entry), ci/oss-fuzz/speed.py, ci/find.sh, ci/minimize.sh, ci/time-to-find.py.
Stops at the first error. Exit status: 0 all passed; 2 wrong use; else that of the step that failed.
END
}

while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        *)
            printf 'test: unknown argument "%s" (--help lists the options)\n' "$1" >&2
            exit 2
            ;;
    esac
done

jobs=$(nproc)

cd "$root"
ci/deps.sh --browser
for preset in "${presets[@]}"; do
    printf '\ntest: building %s\n' "$preset"
    cmake --preset "$preset" --log-level=WARNING
    cmake --build --preset "$preset" -j"$jobs"
    printf '\ntest: testing %s\n' "$preset"
    ctest --preset "$preset" -j"$jobs"
done

printf '\ntest: comparing versions of Unicorn\n'
ci/compare-unicorn.sh

printf '\ntest: the checks of what OSS-Fuzz would get\n'
python3 ci/oss-fuzz/check_out_test.py

printf '\ntest: what OSS-Fuzz would get\n'
for build in "libfuzzer undefined" "afl address"; do
    read -r engine sanitizer <<<"$build"
    ci/oss-fuzz/check.sh --engine "$engine" --sanitizer "$sanitizer" --entry minios-x86_64-fixed --command build/release/framefold
done
python3 ci/oss-fuzz/engines_test.py
