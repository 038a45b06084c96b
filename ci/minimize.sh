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

bad_use() {
    printf 'minimize: %s (--help lists the options)\n' "$*" >&2
    exit 2
}

inputs=1000
test=$root/build/release/harness/test/minimize_test
while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --others)
            export FRAMEFOLD_MINIMIZE_SHOW=1
            shift
            continue
            ;;
        --inputs | --test) (($# > 1)) || bad_use "$1 needs a value" ;;
        *) bad_use "unknown argument \"$1\"" ;;
    esac
    case $1 in
        --inputs)
            [[ $2 =~ ^[1-9][0-9]{0,8}$ ]] || bad_use "--inputs: expected a number above 0, got \"$2\""
            inputs=$2
            ;;
        --test) test=$(realpath -m -- "$2") ;;
    esac
    shift 2
done
[[ -f $test && -x $test ]] || bad_use "no built test $test: cmake --preset release && cmake --build --preset release"
FRAMEFOLD_MINIMIZE_INPUTS=$inputs exec "$test" --gtest_filter='*RandomInputsEndInOneScenario*' --gtest_brief=1
