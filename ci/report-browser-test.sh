#!/usr/bin/env bash
# The HTML report in a real browser: headless Chromium, driven by clicks and keys.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root

usage() {
    cat <<END
usage: ci/report-browser-test.sh [--framefold FILE] [--screenshots FOLDER] [--help]

Writes reports and the map of an exploration, and tests them in headless Chromium: steps through them by clicks and keys, in
light and dark, on the width of a phone, with and without scripts.

  --framefold FILE      the command to test (default: build/release/framefold)
  --screenshots FOLDER  keep pictures of the pages there

Exit status: 0 passed, 1 failed, 2 wrong use or no Chromium.
END
}

bad_use() {
    printf 'report-browser-test: %s (--help lists the options)\n' "$*" >&2
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
        --framefold | --screenshots) (($# > 1)) || bad_use "$1 needs a value" ;;
        *) bad_use "unknown argument \"$1\"" ;;
    esac
    case $1 in
        --framefold) framefold=$(realpath -m -- "$2") ;;
        --screenshots)
            [[ -d $2 ]] || mkdir -p "$2" 2>/dev/null || bad_use "--screenshots: no folder \"$2\""
            arguments+=(--screenshots "$2")
            ;;
    esac
    shift 2
done

[[ -f $framefold && -x $framefold ]] || bad_use "no program \"$framefold\": cmake --build --preset release --target framefold"
if ! command -v chromium >/dev/null; then
    printf 'report-browser-test: expected Chromium (ci/deps.sh --browser installs it)\n' >&2
    exit 2
fi
exec python3 "$root/ci/report_browser_test.py" --framefold "$framefold" --reproducers "$root/reproducers" "${arguments[@]}"
