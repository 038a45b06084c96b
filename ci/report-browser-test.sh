#!/usr/bin/env bash
# The HTML report in a real browser: headless Chromium, driven by clicks and keys.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root

usage() {
    cat <<END
usage: ci/report-browser-test.sh [--framefold FILE] [--screenshots FOLDER] [--install] [--help]

Writes reports and tests them in headless Chromium: steps through them by clicks and keys, in light and dark, on the width
of a phone, with and without scripts.

  --framefold FILE      the command to test (default: build/release/framefold)
  --screenshots FOLDER  keep pictures of the pages there
  --install             install Chromium and a font from the distribution where they are missing (some 300 MB)

Exit status: 0 passed, 1 failed, 2 wrong use or no Chromium.
END
}

framefold=$root/build/release/framefold
arguments=()
install=
while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --framefold) framefold=${2:?--framefold needs a file} && shift ;;
        --screenshots) arguments+=(--screenshots "${2:?--screenshots needs a folder}") && shift ;;
        --install) install=1 ;;
        *)
            printf 'report-browser-test: unknown argument "%s" (--help lists the options)\n' "$1" >&2
            exit 2
            ;;
    esac
    shift
done

if [[ -n $install ]] && ! command -v chromium >/dev/null; then
    as_root=()
    if ((EUID != 0)); then as_root=(sudo -n); fi
    "${as_root[@]}" apt-get -q -y install --no-install-recommends chromium fonts-dejavu-core
fi
if ! command -v chromium >/dev/null; then
    printf 'report-browser-test: expected Chromium (package chromium); --install installs it\n' >&2
    exit 2
fi
exec python3 "$root/ci/report_browser_test.py" --framefold "$framefold" --reproducers "$root/reproducers" "${arguments[@]}"
