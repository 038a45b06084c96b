#!/usr/bin/env bash
# Holds framefold on the distribution's Unicorn against framefold on the newer one: the same inputs must do the same,
# to the last register, byte and frame. See --help.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
source "$root/ci/entries.sh"
readonly seed=1

usage() {
    cat <<END
usage: ci/compare-unicorn.sh [--count N] [--help]

Installs both versions of Unicorn (ci/deps.sh --unicorn=both), builds framefold_digest with each, in build/release and
build/unicorn-system, runs N inputs (default 100000) of each bundled entry with both, and compares what they did.

Exit status: 0 all equal, or only one version can be had here; 1 a difference (it names the first such input); 2 wrong
use; else that of the step that failed.
END
}

bad_use() {
    printf 'compare-unicorn: %s (--help lists the options)\n' "$*" >&2
    exit 2
}

say() { printf 'compare-unicorn: %s\n' "$*"; }

count=100000
while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --count | --count=*)
            if [[ $1 == *=* ]]; then
                count=${1#*=}
            else
                (($# > 1)) || bad_use "--count needs a value"
                count=$2
                shift
            fi
            [[ $count =~ ^[1-9][0-9]{0,8}$ ]] || bad_use "--count: expected a whole number of 1 or more, got \"$count\""
            ;;
        *) bad_use "unknown argument \"$1\"" ;;
    esac
    shift
done

cd "$root"
ci/deps.sh --unicorn=both
jobs=$(nproc)
say "building"
cmake --preset release --log-level=WARNING
cmake --build --preset release -j"$jobs" --target digest_tool
cmake --preset release -B build/unicorn-system --log-level=WARNING -DFRAMEFOLD_UNICORN=system -DFRAMEFOLD_BENCH=OFF
cmake --build build/unicorn-system -j"$jobs" --target digest_tool

newer=build/release/harness/test/framefold_digest
system=build/unicorn-system/harness/test/framefold_digest
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# first_difference ENTRY: runs both again, telling each input.
first_difference() {
    "$newer" "$1" "$count" "$seed" each >"$scratch/newer"
    "$system" "$1" "$count" "$seed" each >"$scratch/system"
    diff "$scratch/newer" "$scratch/system" | awk '$1 == "<" { print $2; exit }'
}

status=0
for entry in $(bundled_entries); do
    "$newer" "$entry" "$count" "$seed" >"$scratch/newer" &
    pid=$!
    "$system" "$entry" "$count" "$seed" >"$scratch/system"
    wait "$pid"
    read -r _ newer_version newer_digest <"$scratch/newer"
    read -r _ system_version system_digest <"$scratch/system"
    if [[ $newer_version == "$system_version" ]]; then
        say "only Unicorn $newer_version can be had here: nothing to compare"
        break
    fi
    if [[ $newer_digest == "$system_digest" ]]; then
        say "$newer_version and $system_version agree: $newer_digest"
    else
        say "$entry: Unicorn $newer_version and $system_version differ, first at input $(first_difference "$entry")"
        status=1
    fi
done
exit "$status"
