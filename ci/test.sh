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
says what each corpus reaches of the guest, of what exploration reaches; then holds two versions of Unicorn against each other; builds a fuzz binary as OSS-Fuzz does, applies its rules to it, and breaks
each of them to see it fail.
What takes longer is for hand or night: ci/oss-fuzz/check.sh (four builds, each entry), ci/oss-fuzz/engines_test.py, ci/oss-fuzz/speed.py, ci/find.sh, ci/minimize.sh, ci/time-to-find.py.
Each stage says how long it took. Stops at the first error. Exit status: 0 all passed; 2 wrong use; else that of the step that failed.
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

# stage NAME COMMAND...: says before what is done, and after how long it took.
stage() {
    local name=$1 start=$SECONDS
    shift
    printf '\ntest: %s\n' "$name"
    "$@"
    printf 'test: %s: %d s\n' "$name" $((SECONDS - start))
}

build() {
    cmake --preset "$1" --log-level=WARNING
    cmake --build --preset "$1" -j"$jobs"
}

# run_tests PRESET: what one process runs together is one test to ctest (<component>.all); how many there are is said here.
run_tests() {
    ctest --preset "$1" -j"$jobs"
    local name count=0
    while read -r name; do
        case $name in
            *.all) count=$((count + $("build/$1/harness/test/${name%.all}_test" --gtest_list_tests | grep -c '^  '))) ;;
            *) count=$((count + 1)) ;;
        esac
    done < <(ctest --preset "$1" -N | sed -n 's/^ *Test *#[0-9]*: //p')
    printf 'test: %s: %d tests passed\n' "$1" "$count"
}

# A line an entry. That everything is reached, a test holds (corpus).
print_guest_coverage() {
    local folder
    for folder in corpus/*/; do printf '%s\0' "$(basename "$folder")"; done |
        xargs -0 -P "$jobs" -I '{}' build/release/framefold coverage --summary --entry '{}' corpus/'{}' 2>build/guest_coverage.log || {
        cat build/guest_coverage.log >&2
        return 1
    }
}

# The rules are broken beside the build that they are applied to: that is mostly waiting.
check_oss_fuzz() {
    local log=build/check_out_test.log test status=0
    python3 ci/oss-fuzz/check_out_test.py >"$log" 2>&1 &
    test=$!
    ci/oss-fuzz/check.sh --engine libfuzzer --sanitizer undefined --entry minios-x86_64-fixed --command build/release/framefold || status=$?
    wait "$test" || status=$?
    cat "$log"
    return "$status"
}

cd "$root"
stage "set-up" ci/deps.sh --browser
for preset in "${presets[@]}"; do
    stage "building $preset" build "$preset"
    stage "testing $preset" run_tests "$preset"
done
stage "guest coverage of the corpora" print_guest_coverage
stage "comparing versions of Unicorn" ci/compare-unicorn.sh
stage "what OSS-Fuzz would get, and each of its rules broken" check_oss_fuzz
printf '\ntest: all passed, in %d s\n' "$SECONDS"
