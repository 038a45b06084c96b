#!/usr/bin/env bash
# Makes reproducers/ anew: each scenario minimised, and a README.md an entry that says what each one shows.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root

usage() {
    cat <<END
usage: ci/reproducers.sh [--check] [--framefold FILE] [--help]

Minimises every scenario of reproducers/ and writes each entry's README.md anew from what the scenarios show. The texts are
those of the scenarios (key "explanation": four paragraphs, "Boundary: ...", "Mechanism: ...", "Effect: ...", "Cure: ...").
A bug that an edit of the code has only moved is followed; of one that is gone the scenario stays, and the README.md says so.

  --check           change nothing; fail where something would change, or a bug has moved or is gone
  --framefold FILE  the command to use (default: build/release/framefold)

Exit status: 0 done, 1 --check found something or a bug does not reproduce, 2 wrong use.
END
}

bad_use() {
    printf 'reproducers: %s (--help lists the options)\n' "$*" >&2
    exit 2
}

framefold=$root/build/release/framefold
arguments=()
while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --check)
            arguments+=(--check)
            shift
            continue
            ;;
        --framefold) (($# > 1)) || bad_use "$1 needs a value" ;;
        *) bad_use "unknown argument \"$1\"" ;;
    esac
    case $1 in
        --framefold) framefold=$(realpath -m -- "$2") ;;
    esac
    shift 2
done
[[ -f $framefold && -x $framefold ]] || bad_use "no program \"$framefold\": cmake --build --preset release --target framefold"
cd "$root"
exec python3 ci/reproducers.py --framefold "$framefold" "${arguments[@]}"
