#!/usr/bin/env bash
# Minimises many random inputs of each known bug: nearly all must end in one scenario, and none with another signature.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root

usage() {
    cat <<END
usage: ci/minimize.sh [--inputs COUNT] [--others] [--test FILE] [--help]

Makes COUNT random inputs (default: 1000) that show each known bug, half of them far from its reproducer and half from the
fuzzer's corpus where those show it, always the same ones; minimises them; prints a line a bug. Takes about half an hour.

  --inputs COUNT  inputs a bug
  --others        print each scenario that is another one
  --test FILE     the test to use (default: build/release/harness/test/minimize_test)

Exit status: 0 passed, 1 another signature, or more than one in twenty another scenario; 2 wrong use.
END
}

inputs=1000
test=$root/build/release/harness/test/minimize_test
while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --inputs) inputs=${2:?--inputs needs a number} && shift ;;
        --others) export FRAMEFOLD_MINIMIZE_SHOW=1 ;;
        --test) test=${2:?--test needs a file} && shift ;;
        *)
            printf 'minimize: unknown argument "%s" (--help lists the options)\n' "$1" >&2
            exit 2
            ;;
    esac
    shift
done
if [[ ! $inputs =~ ^[1-9][0-9]*$ ]]; then
    printf 'minimize: --inputs: expected a number above 0, not "%s"\n' "$inputs" >&2
    exit 2
fi
if [[ ! -x $test ]]; then
    printf 'minimize: expected the built test %s (cmake --preset release && cmake --build --preset release)\n' "$test" >&2
    exit 2
fi
FRAMEFOLD_MINIMIZE_INPUTS=$inputs exec "$test" --gtest_filter='*RandomInputsEndInOneScenario*' --gtest_brief=1
