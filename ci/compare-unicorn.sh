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

Installs both versions of Unicorn (ci/deps.sh --unicorn=both), builds framefold_digest with each in build/release, runs N
inputs (default 100000) of each bundled entry with both, and compares what they did.

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
targets=$(cmake --build --preset release --target help)
if [[ $targets != *$'\n'digest_tool_system:* ]]; then
    say "only one Unicorn can be had here: nothing to compare"
    exit 0
fi
cmake --build --preset release -j"$jobs" --target digest_tool_system

export newer=build/release/harness/test/framefold_digest
export system=build/release/harness/test/framefold_digest_system
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export scratch count seed
export -f say

# first_difference ENTRY: runs both again, telling each input.
first_difference() {
    "$newer" "$1" "$count" "$seed" each >"$scratch/$1.newer"
    "$system" "$1" "$count" "$seed" each >"$scratch/$1.system"
    diff "$scratch/$1.newer" "$scratch/$1.system" | awk '$1 == "<" { print $2; exit }'
}
export -f first_difference

# compare ENTRY: returns 1 where they differ; else the status of the run that failed.
compare() {
    local newer_version newer_digest system_version system_digest
    "$system" "$1" "$count" "$seed" >"$scratch/$1.system" || return
    "$newer" "$1" "$count" "$seed" >"$scratch/$1.newer" || return
    read -r _ newer_version newer_digest <"$scratch/$1.newer" || return
    read -r _ system_version system_digest <"$scratch/$1.system" || return
    if [[ $newer_version == "$system_version" ]]; then
        say "$1: framefold_digest_system was linked with Unicorn $newer_version, too"
        return 3
    fi
    if [[ $newer_digest == "$system_digest" ]]; then
        say "$newer_version and $system_version agree: $newer_digest"
    else
        say "$1: Unicorn $newer_version and $system_version differ, first at input $(first_difference "$1")"
        return 1
    fi
}
export -f compare

bundled_entries >"$scratch/entries"
status=0
xargs -P "$jobs" -I{} bash -c 'compare {} || echo $? >"$scratch/{}.status"' <"$scratch/entries"
for file in "$scratch"/*.status; do
    [[ -e $file ]] || continue
    step=$(<"$file")
    ((step <= status)) || status=$step
done
exit "$status"
