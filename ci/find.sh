#!/usr/bin/env bash
# How long does the fuzz binary take to find each planted fault or known violation, from an empty corpus, on one core? See
# --help.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root

usage() {
    cat <<END
usage: ci/find.sh [--known] [--seconds N] [--runs N] [--seeds N] [--only TEXT] [--binaries FOLDER] [--help]

Fuzzes each planted fault (harness/test/planted_faults.cpp) from an empty corpus until it is found, and prints what it was
found as, and after how many seconds and executions. With more than one seed, the numbers are the median and the largest.

  --known            each known violation instead: the bucket of each reproducer (reproducers/), by its entry's fuzz binary
  --seconds N        give up after so many seconds (default 20; with --known 30)
  --runs N           give up after so many executions (default: no limit)
  --seeds N          that many times each, with seeds from 1 (default 1); a seed takes the same executions each time
  --only TEXT        only those whose name contains TEXT
  --binaries FOLDER  where variant_fuzzer and list_planted are, or with --known the entries' fuzz binaries; default: they
                     are built, as the preset fuzz has it

Exit status: 0 all found; 1 one was not found, or not as one of the kinds that it should show as; 2 wrong use; else that of
the step that failed.
END
}

bad_use() {
    printf 'find: %s (--help lists the options)\n' "$*" >&2
    exit 2
}

# ---- options ---------------------------------------------------------------------------------------------------------

known='' seconds='' runs=-1 seeds=1 only='' binaries=''

while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --known)
            known=1
            shift
            continue
            ;;
        --seconds | --runs | --seeds | --only | --binaries) (($# > 1)) || bad_use "$1 needs a value" ;;
        *) bad_use "unknown argument \"$1\"" ;;
    esac
    case $1 in
        --seconds | --runs | --seeds)
            [[ $2 =~ ^[1-9][0-9]{0,8}$ ]] || bad_use "$1: expected a whole number of 1 or more, got \"$2\""
            printf -v "${1#--}" '%s' "$2"
            ;;
        --only) only=$2 ;;
        --binaries) binaries=$(cd "$2" 2>/dev/null && pwd) || bad_use "--binaries: no folder \"$2\"" ;;
    esac
    shift 2
done
[[ -n $seconds ]] || seconds=$([[ -n $known ]] && echo 30 || echo 20)
readonly known seconds runs seeds only

cd "$root"
if [[ -n $known ]]; then
    mapfile -t needed < <(for folder in reproducers/*/; do basename "$folder"; done | sed 's/$/_fuzzer/')
else
    needed=(variant_fuzzer list_planted)
fi
readonly needed
for name in "${needed[@]}"; do
    [[ -z $binaries || -x $binaries/$name ]] || bad_use "--binaries: no $name in \"$binaries\""
done

# ---- what to find -----------------------------------------------------------------------------------------------------

scratch=$(mktemp -d)
readonly scratch
trap 'rm -rf "$scratch"' EXIT

# list: a line each, "<name>|<fuzz binary>|<variant>|<signature or bucket to look for>|<kinds>".
list() {
    local file signature bucket
    if [[ -z $known ]]; then
        "$binaries/list_planted" | while IFS='|' read -r variant signature kinds; do
            printf '%s|variant_fuzzer|%s|%s|%s\n' "$variant" "$variant" "$signature" "$kinds"
        done
        return
    fi
    for file in reproducers/*/*.toml; do
        signature=$(sed -n 's/^signature = "\(.*\)"$/\1/p' "$file")
        bucket=${signature%+*}
        printf '%s|%s_fuzzer||%s|%s \n' "$bucket" "${bucket%%:*}" "$bucket" "$(cut -d: -f2 <<<"$bucket")"
    done | sort -u
}

# make_list: of those that --only leaves.
make_list() {
    list | awk -F '|' -v only="$only" 'index($1, only)' >"$scratch/list"
    [[ -s $scratch/list ]] || bad_use "--only: no name contains \"$only\""
}

[[ -z $known ]] || make_list # needs nothing that is built

# ---- build -----------------------------------------------------------------------------------------------------------

if [[ -z $binaries ]]; then
    ci/deps.sh
    cmake --preset fuzz --log-level=WARNING
    cmake --build --preset fuzz -j"$(nproc)" --target "${needed[@]}"
    binaries=$root/build/fuzz/$([[ -n $known ]] && echo entry || echo harness/test)
fi
readonly binaries

# ---- find ------------------------------------------------------------------------------------------------------------

# fuzz BINARY VARIANT SIGNATURE SEED: prints "<kind> <milliseconds> <executions>"; the kind is "-" where nothing was found. Without
# -use_cmp=0, libFuzzer mutates by what comparisons saw, host addresses among it: no seed is the same run twice.
fuzz() {
    local log=$scratch/log started=${EPOCHREALTIME//[!0-9]/} kind executions
    mkdir "$scratch/corpus"
    env FRAMEFOLD_VARIANT="$2" ${3:+FRAMEFOLD_ONLY="$3"} FRAMEFOLD_KNOWN='' "$binaries/$1" -seed="$4" -runs="$runs" -use_cmp=0 \
        -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix="$scratch/" "$scratch/corpus" >"$log" 2>&1 || true
    kind=$(sed -n 's/^ASSERTION FAILED: FuzzerHash=[^:]*:\([^:]*\):.*/\1/p' "$log")
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if [[ -z $executions ]]; then # it did not get as far as fuzzing
        cat "$log" >&2
        exit 3
    fi
    printf '%s %d %d\n' "${kind:--}" $(((${EPOCHREALTIME//[!0-9]/} - started) / 1000)) "$executions"
    rm -rf "$scratch/corpus"
}

# median_and_largest NUMBER...: one number where they are the same.
median_and_largest() {
    local sorted
    mapfile -t sorted < <(printf '%s\n' "$@" | sort -n)
    printf '%s' "${sorted[$((($# - 1) / 2))]}"
    if (($# > 1)); then printf ' %s' "${sorted[$(($# - 1))]}"; fi
}

# in_seconds MILLISECONDS...
in_seconds() {
    local number separator=''
    for number in "$@"; do
        printf '%s%d.%d' "$separator" $((number / 1000)) $((number % 1000 / 100))
        separator=' '
    done
}

[[ -n $known ]] || make_list
missed=0
printf '%-65s %-20s %12s %18s\n' 'to find' 'found as' seconds executions
while IFS='|' read -r name binary variant signature expected; do
    kinds=() times=() executions=() note=''
    for ((seed = 1; seed <= seeds; seed++)); do
        found=$(fuzz "$binary" "$variant" "$signature" "$seed")
        read -r kind time count <<<"$found"
        kinds+=("$kind") times+=("$time") executions+=("$count")
        if [[ $kind == - ]]; then
            note='not found'
        elif [[ " $expected" != *" $kind "* ]]; then
            note="expected: ${expected% }"
        fi
    done
    [[ -z $note ]] || missed=$((missed + 1))
    read -ra times <<<"$(median_and_largest "${times[@]}")"
    printf '%-65s %-20s %12s %18s%s\n' "$name" "$(printf '%s\n' "${kinds[@]}" | sort -u | paste -sd,)" \
        "$(in_seconds "${times[@]}")" "$(median_and_largest "${executions[@]}")" "${note:+  $note}"
done <"$scratch/list"

((missed == 0)) || {
    printf 'find: %d missed\n' "$missed" >&2
    exit 1
}
