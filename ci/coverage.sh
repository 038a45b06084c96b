#!/usr/bin/env bash
# What the corpora reach of the guest, and what the tests reach of the harness, as one page. See --help.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
source "$root/ci/entries.sh"

usage() {
    cat <<END
usage: ci/coverage.sh [--entry NAME]... [--guest-only] [--corpora FOLDER] [--output FILE] [--help]

  guest  each instruction of each entry, with its source: whether the inputs of corpus/<entry>/ execute it, and for each kind of
         arrival how many came at its boundary, how many of them were delivered, and how many frames were folded there;
         where something can be delivered or folded and none of the inputs does it, the page says so
  host   each file of harness/: lines and branches that the tests and the replay of the corpora reach (llvm-cov)

  --entry NAME      only this one; may be repeated (default all)
  --guest-only      without the host's, which takes a build of its own (preset coverage) and all the tests
  --corpora FOLDER  instead of corpus/; a folder <entry> may have its inputs in <entry>/corpus, as ci/fuzz.sh leaves them
  --output FILE     the page (default build/coverage/index.html)

Prints the numbers as well. Exit status: 0 done; 2 wrong use; else that of the step that failed.
END
}

bad_use() {
    printf 'coverage: %s (--help lists the options)\n' "$*" >&2
    exit 2
}

entries=() guest_only='' corpora=$root/corpus output=$root/build/coverage/index.html
while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --guest-only)
            guest_only=1
            shift
            continue
            ;;
        --entry | --corpora | --output) (($# > 1)) || bad_use "$1 needs a value" ;;
        *) bad_use "unknown argument \"$1\"" ;;
    esac
    case $1 in
        --entry)
            is_bundled_entry "$2" || bad_use "--entry: no bundled entry \"$2\""
            entries+=("$2")
            ;;
        --corpora)
            [[ -d $2 ]] || bad_use "--corpora: no folder \"$2\""
            corpora=$(cd "$2" && pwd)
            ;;
        --output)
            output=$(realpath -m -- "$2")
            [[ -n $2 && ! -d $output ]] || bad_use "--output: expected a file, got \"$2\""
            ;;
    esac
    shift 2
done
cd "$root"
if ((${#entries[@]} == 0)); then
    mapfile -t entries < <(bundled_entries)
fi

# inputs_of ENTRY: the folder with its inputs.
inputs_of() {
    local inputs=$corpora/$1
    if [[ -d $inputs/corpus ]]; then inputs=$inputs/corpus; fi
    printf '%s\n' "$inputs"
}

for entry in "${entries[@]}"; do
    [[ -d $corpora/$entry ]] || bad_use "no folder \"$corpora/$entry\""
done
mkdir -p "$(dirname "$output")" 2>/dev/null && [[ -w $(dirname "$output") ]] || bad_use "--output: cannot write \"$output\""

jobs=$(nproc)
preset=release
[[ -n $guest_only ]] || preset=coverage
build=$root/build/$preset
{
    ci/deps.sh
    cmake --preset "$preset" --log-level=WARNING
    if [[ -n $guest_only ]]; then
        cmake --build --preset "$preset" -j"$jobs" --target framefold
    else
        cmake --build --preset "$preset" -j"$jobs"
    fi
} >&2

scratch=$(mktemp -d)
readonly scratch
page=$output.$$.new # beside the page, of which it takes the place as a whole
readonly page
trap 'rm -rf "$scratch" "$page"' EXIT

profiles=$build/profiles
if [[ -z $guest_only ]]; then
    rm -rf "$profiles"
    # Not the two in which the command may write no file: it cannot write its profile then, and says so.
    ctest --preset coverage -j"$jobs" -E '^cli\.Cli\.(UnreadableFileIsOneLine|WhatCannotBeWrittenWholeLeavesNothing)$' \
        >"$scratch/ctest.log" || {
        status=$?
        tail -n 40 "$scratch/ctest.log" >&2
        exit "$status"
    }
fi

for entry in "${entries[@]}"; do
    LLVM_PROFILE_FILE=$profiles/%m-%p.profraw "$build/framefold" coverage --json --possible --entry "$entry" "$(inputs_of "$entry")" \
        >"$scratch/$entry.json"
    objdump --disassemble --line-numbers --no-show-raw-insn "$build/entry/$entry/"*.elf >"$scratch/$entry.lines"
done

host=()
if [[ -z $guest_only ]]; then
    # A process that a test kills may leave half a profile, which is left out, with a warning.
    llvm-profdata merge --sparse --failure-mode=all --output "$scratch/all.profdata" "$profiles"/*.profraw
    objects=()
    for test in "$build"/harness/test/*_test; do objects+=(--object "$test"); done
    llvm-cov export --summary-only --instr-profile "$scratch/all.profdata" --ignore-filename-regex '(/harness/test/|/build/coverage/[^.]|^/usr/)' \
        "$build/framefold" "${objects[@]}" >"$scratch/host.json"
    host=(--host "$scratch/host.json")
fi

python3 ci/coverage_page.py --root "$root" --guest "$scratch" "${host[@]}" --output "$page" "${entries[@]}"
mv "$page" "$output"
printf 'coverage: %s\n' "$output"
