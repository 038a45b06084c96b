#!/usr/bin/env bash
# Does what build.sh makes fulfil the contract of OSS-Fuzz? On this machine, without Docker. See --help.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root
# shellcheck source=ci/oss-fuzz/environment.sh
source "$root/ci/oss-fuzz/environment.sh"
# shellcheck source=ci/entries.sh
source "$root/ci/entries.sh"

usage() {
    cat <<END
usage: ci/oss-fuzz/check.sh [--engine NAME]... [--sanitizer NAME]... [--entry NAME]... [--command PATH] [--build-only]
                            [--help]

Builds the fuzz binaries with ci/oss-fuzz/build.sh in the environment of OSS-Fuzz's base builder, in
build/oss-fuzz/<engine>-<sanitizer>/, and holds what lies in \$OUT against each rule of the contract.

  --engine NAME     libfuzzer, afl or honggfuzz (default: each that this machine has:$(available_engines | sed 's/^/ /' | tr -d '\n'))
  --sanitizer NAME  address or undefined (default both)
  --entry NAME      build and check only this entry's fuzz binary; may be repeated (default all)
  --command PATH    a framefold command that makes dictionaries and seeds, so that none is built with each sanitizer
  --build-only      no checks

Interrupted while it builds, it leaves no \$OUT.

The rules: ci/oss-fuzz/check_out.py --rules.
Exit status: 0 all hold, as far as they can be checked here; 1 one is broken; 2 wrong use; else that of the step that failed.
END
}

bad_use() {
    printf 'check: %s (--help lists the options)\n' "$*" >&2
    exit 2
}

mapfile -t available < <(available_engines)
readonly available
engines=() sanitizers=() entries=() build_only=''
while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --build-only)
            build_only=1
            shift
            continue
            ;;
        --engine | --sanitizer | --entry | --command) (($# > 1)) || bad_use "$1 needs a value" ;;
        *) bad_use "unknown argument \"$1\"" ;;
    esac
    case $1 in
        --engine)
            [[ " ${available[*]} " == *" $2 "* ]] || bad_use "--engine: \"$2\" cannot be had here"
            engines+=("$2")
            ;;
        --sanitizer)
            [[ $2 == address || $2 == undefined ]] || bad_use "--sanitizer: expected address or undefined, got \"$2\""
            sanitizers+=("$2")
            ;;
        --entry)
            is_bundled_entry "$2" || bad_use "--entry: no bundled entry \"$2\""
            entries+=("$2")
            ;;
        --command)
            [[ -f $2 && -x $2 ]] || bad_use "--command: no program \"$2\""
            FRAMEFOLD_COMMAND=$(realpath "$2")
            export FRAMEFOLD_COMMAND
            ;;
    esac
    shift 2
done
((${#available[@]})) || bad_use "no engine can be had here: no clang, no AFL++ (ci/deps.sh installs both)"
((${#engines[@]})) || engines=("${available[@]}")
((${#sanitizers[@]})) || sanitizers=(address undefined)
((${#entries[@]})) || mapfile -t entries < <(bundled_entries)

# build ENGINE SANITIZER: as the base builder's `compile` does it.
build() (
    folder=$root/build/oss-fuzz/$1-$2
    enter_environment "$1" "$2" "$folder"
    rm -rf "$OUT" "$WORK" # what builds it depends on more than a build folder knows: the compiler, its lists
    mkdir -p "$OUT" "$WORK"
    trap 'rm -rf "$OUT"' EXIT # as long as it is not whole
    ln -sfn "$root" "$SRC/framefold"
    printf 'check: building %s with %s\n' "$1" "$2"
    cp "$(command -v llvm-symbolizer)" "$OUT/"
    FRAMEFOLD_ENTRIES=${entries[*]} bash -eux "$root/ci/oss-fuzz/build.sh" >"$folder/build.log" 2>&1 || {
        status=$?
        tail -n 40 "$folder/build.log" >&2
        exit "$status"
    }
    trap - EXIT
)

# check ENGINE SANITIZER: in the environment that it was built in.
check() (
    enter_environment "$1" "$2" "$root/build/oss-fuzz/$1-$2"
    python3 "$root/ci/oss-fuzz/check_out.py" --engine "$1" --sanitizer "$2" --out "$OUT" --work "$WORK" --src "$SRC" \
        "${entries[@]/#/--entry=}"
)

status=0
for engine in "${engines[@]}"; do
    for sanitizer in "${sanitizers[@]}"; do
        build "$engine" "$sanitizer"
        [[ -z $build_only ]] || continue
        check "$engine" "$sanitizer" || status=$?
        ((status <= 1)) || exit "$status"
    done
done
exit "$status"
