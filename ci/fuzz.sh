#!/usr/bin/env bash
# Fuzzes the bundled entries, or ones of one's own, each for a while, and says what was seen. See --help.
#
# A worker is one fuzz process on one core. It works on a copy of the entry's corpus: what it finds interesting is not
# what the repository keeps. At the end that is pruned: what adds nothing to the guest's coverage is dropped. A worker that finds a violation has ended (libFuzzer ends there), so it is started again for
# the rest of its time, a limited number of times: the next one may be another bug.
set -euo pipefail
shopt -s nullglob

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
source "$root/ci/entries.sh"
readonly max_findings=8     # of one worker
readonly progress_seconds=10

usage() {
    cat <<END
usage: ci/fuzz.sh [--seconds N | --runs N] [--entry NAME|PATH]... [--jobs N] [--help]

Installs what is missing (ci/deps.sh), builds the fuzz binaries and fuzzes the bundled entries.

  --seconds N   how long each entry is fuzzed (default 30)
  --runs N      executions of each worker, however long they take, instead of a time
  --entry NAME  only this one, or the entry of your own that an entry.toml at this path describes; may be repeated
                (default all that are bundled)
  --jobs N      how many fuzz processes at a time (default one a core: $(nproc)); more than there are entries are shared out

Ends with a table of what was seen. What a worker printed and its corpus are in build/fuzz/runs/<entry>/, the corpus pruned
(at most 512 inputs, with the guest's coverage of all that were found); inputs that show a violation in artifacts/<entry>/.
Ctrl-C ends early, with the table of what there is.

The entries:
$(bundled_entries | sed 's/^/  /')

Exit status: 0 nothing but known violations; 1 a violation that is not known; 2 wrong use; 3 an error of framefold's own.
END
}

bad_use() {
    printf 'fuzz: %s (--help lists the options)\n' "$*" >&2
    exit 2
}

say() { printf 'fuzz: %s\n' "$*"; }

# ---- options ---------------------------------------------------------------------------------------------------------

seconds=30 runs='' jobs=$(nproc) entries=()
declare -A path_of=() # by name: the description of an entry of one's own

# is_count TEXT: a whole number that a shell can hold, 1 or more.
is_count() { [[ $1 =~ ^[1-9][0-9]{0,8}$ ]]; }

while (($#)); do
    option=$1 has_value=
    case $option in
        --*=*) value=${option#*=} option=${option%%=*} has_value=attached ;;
        *) if (($# > 1)); then value=$2 has_value=next; fi ;;
    esac
    case $option in
        -h | --help)
            usage
            exit 0
            ;;
        --seconds | --runs | --entry | --jobs) [[ -n $has_value ]] || bad_use "$option needs a value" ;;
        *) bad_use "unknown argument \"$1\"" ;;
    esac
    case $option in
        --seconds)
            is_count "$value" || bad_use "--seconds: expected a whole number of 1 or more, got \"$value\""
            seconds=$value
            ;;
        --runs)
            is_count "$value" || bad_use "--runs: expected a whole number of 1 or more, got \"$value\""
            runs=$value seconds=999999
            ;;
        --jobs)
            is_count "$value" || bad_use "--jobs: expected a whole number of 1 or more, got \"$value\""
            jobs=$value
            ;;
        --entry)
            if [[ $value == */* || $value == *.toml ]]; then
                [[ -f $value ]] || bad_use "--entry: expected a file, got \"$value\""
                path=$(realpath "$value")
                value=$(sed -n 's/^name *= *"\([A-Za-z0-9_.-]*\)".*/\1/p' "$path" | head -n 1)
                [[ -n $value ]] || bad_use "$path: name: expected a line that says it"
                ! is_bundled_entry "$value" || bad_use "$path: name: expected another one than a bundled entry's, got \"$value\""
                path_of[$value]=$path
            fi
            [[ -n ${path_of[$value]:-} ]] || is_bundled_entry "$value" || bad_use "--entry: no bundled entry \"$value\""
            if [[ " ${entries[*]} " != *" $value "* ]]; then entries+=("$value"); fi
            ;;
    esac
    shift
    if [[ $has_value == next ]]; then shift; fi
done

cd "$root"
if ((${#entries[@]} == 0)); then
    mapfile -t entries < <(bundled_entries)
fi
workers=$((jobs > ${#entries[@]} ? jobs / ${#entries[@]} : 1)) # of one entry
readonly seconds runs jobs entries workers

# ---- build -----------------------------------------------------------------------------------------------------------

ci/deps.sh
say "building"
cmake --preset fuzz --log-level=WARNING
cmake --build --preset fuzz -j"$(nproc)"

# ---- fuzz ------------------------------------------------------------------------------------------------------------

folder_of() { printf '%s/build/fuzz/runs/%s' "$root" "$1"; }
# Any of them takes an entry of one's own, from FRAMEFOLD_ENTRY.
binary_of() {
    local name=$1
    if [[ -n ${path_of[$1]:-} ]]; then name=$(bundled_entries | head -n 1); fi
    printf '%s/build/fuzz/entry/%s_fuzzer' "$root" "$name"
}

for entry in "${!path_of[@]}"; do
    # Does its description hold? The message is the fuzz binary's.
    if ! message=$(FRAMEFOLD_ENTRY=${path_of[$entry]} "$(binary_of "$entry")" -runs=0 2>&1); then
        grep '^framefold: ' <<<"$message" >&2 || printf '%s\n' "$message" >&2
        exit 2
    fi
done

# prepare ENTRY: an empty folder for its run, with a corpus of its own.
prepare() {
    local folder seeds
    folder=$(folder_of "$1")
    rm -rf "$folder"
    mkdir -p "$folder/corpus" "artifacts/$1"
    seeds=(corpus/"$1"/*)
    if ((${#seeds[@]})); then cp -R "${seeds[@]}" "$folder/corpus/"; fi
}

# run_worker ENTRY INDEX: one worker, for all its time. Runs in a shell of its own.
run_worker() {
    local folder child='' stopped='' started=$SECONDS left findings=0 status limit
    folder=$(folder_of "$1")
    # The main shell sends it, to this shell alone. libFuzzer ends in order on SIGTERM as it does on SIGINT, which bash
    # makes background processes ignore until libFuzzer has installed its handler.
    trap 'stopped=1; [[ -z $child ]] || kill -TERM "$child" 2>/dev/null || true' TERM
    while ((findings < max_findings)) && [[ -z $stopped ]]; do
        left=$((seconds - (SECONDS - started)))
        if ((left <= 0)); then break; fi
        status=0
        limit=${runs:+-runs=$runs}
        FRAMEFOLD_ENTRY=${path_of[$1]:-} "$(binary_of "$1")" "${limit:--max_total_time=$left}" -print_final_stats=1 -artifact_prefix="$root/artifacts/$1/" \
            "$folder/corpus" >>"$folder/log.$2" 2>&1 &
        child=$!
        if [[ -n $stopped ]]; then kill -TERM "$child" 2>/dev/null || true; fi # it came before the assignment
        # A trapped signal ends `wait` before the process has ended.
        while kill -0 "$child" 2>/dev/null; do
            status=0
            wait "$child" || status=$?
        done
        child=
        printf 'framefold-exit: %d\n' "$status" >>"$folder/log.$2"
        if ((status == 0)); then break; fi
        findings=$((findings + 1))
    done
}

# progress ENTRY: the last thing that its workers had to say for themselves.
progress() {
    local log line
    for log in "$(folder_of "$1")"/log.*; do
        line=$(grep -aE '^#[0-9]+' "$log" | tail -n 1 | tr -s '[:space:]' ' ') || true
        say "$1: ${line:-starting}"
    done
}

interrupted=
declare -A entry_of=() running=() # by process id; by entry: how many workers of it still run

# shellcheck disable=SC2317 # called by the trap
interrupt() {
    interrupted=1
    printf '\n'
    say "interrupted; ending"
    if ((${#entry_of[@]})); then kill -TERM "${!entry_of[@]}" 2>/dev/null || true; fi
}
trap interrupt INT TERM

start_entry() {
    local index
    prepare "$1"
    if [[ -n $runs ]]; then say "$1: for $runs executions"; else say "$1: for $seconds s"; fi
    running[$1]=$workers
    for ((index = 0; index < workers; index++)); do
        # Job control gives the worker a process group of its own: the terminal's Ctrl-C reaches the main shell alone.
        set -m
        run_worker "$1" "$index" &
        set +m
        entry_of[$!]=$1
    done
}

# prune ENTRY: its corpus, as a whole or not at all. To a corpus of nothing is merged what the workers have found: a fuzzer's
# inputs are of any version of the format.
prune() {
    local folder status=0
    folder=$(folder_of "$1")
    build/fuzz/framefold corpus merge --entry "${path_of[$1]:-$1}" "$folder/pruned" "$folder/corpus" >"$folder/prune.log" 2>&1 ||
        status=$?
    # 1: inputs were left out that show a violation. The workers have found the same, and say so.
    if ((status > 1)); then
        cat "$folder/prune.log" >&2
        say "$1: its corpus is not pruned"
        return
    fi
    mv "$folder/corpus" "$folder/found"
    mv "$folder/pruned" "$folder/corpus"
    rm -r "$folder/found"
}

# reap: takes leave of the workers that have ended.
reap() {
    local pid entry
    for pid in "${!entry_of[@]}"; do
        if kill -0 "$pid" 2>/dev/null; then continue; fi
        wait "$pid" || true
        entry=${entry_of[$pid]}
        unset "entry_of[$pid]"
        running[$entry]=$((running[$entry] - 1))
        if ((running[$entry] == 0)); then
            unset "running[$entry]"
            prune "$entry"
            say "$entry: done"
        fi
    done
}

fuzzed=() next=0 last_progress=$SECONDS
while ((next < ${#entries[@]} || ${#entry_of[@]})); do
    while [[ -z $interrupted ]] && ((next < ${#entries[@]} && (${#entry_of[@]} == 0 || ${#entry_of[@]} + workers <= jobs))); do
        fuzzed+=("${entries[next]}")
        start_entry "${entries[next]}"
        next=$((next + 1))
    done
    if [[ -n $interrupted ]]; then next=${#entries[@]}; fi
    sleep 0.5 || true
    reap
    if ((SECONDS - last_progress >= progress_seconds)); then
        last_progress=$SECONDS
        for entry in "${!running[@]}"; do progress "$entry"; done
    fi
done
trap - INT TERM

# ---- summary ---------------------------------------------------------------------------------------------------------

printf '\n'
status=0
python3 ci/fuzz_summary.py --runs build/fuzz/runs --artifacts artifacts "${fuzzed[@]}" || status=$?
exit "$status"
