#!/usr/bin/env bash
# Keeps the corpora small and sound. See --help.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
source "$root/ci/entries.sh"

usage() {
    cat <<END
usage: ci/corpus.sh merge [--entry NAME]... [--from FOLDER]
       ci/corpus.sh prune|stats|upgrade [--entry NAME]...

  merge    adds to corpus/<entry>/ what FOLDER/<entry>/ or FOLDER/<entry>/corpus/ reaches of the guest and the corpus does not
  prune    drops from corpus/<entry>/ what reaches nothing that other inputs do not reach
  stats    says how large corpus/<entry>/ is, and what it reaches
  upgrade  writes corpus/<entry>/ anew in the current version of the format

  --entry NAME     only this one; may be repeated (default all)
  --from FOLDER    where new inputs are (default build/fuzz/runs, where ci/fuzz.sh leaves them)
  --command PATH   the framefold command (default: build/release/framefold, which is built if it has to be)
  --corpora FOLDER instead of corpus/

Coverage is the guest's. An input that shows a violation that is not known is never kept. A corpus is replaced as a whole:
who interrupts this finds each corpus as it was or as it will be. All about a step: framefold corpus --help.

Exit status: 0 done; 1 done, and inputs were left out since they show a violation; 2 wrong use; else that of the step that
failed.
END
}

bad_use() {
    printf 'corpus: %s (--help lists the options)\n' "$*" >&2
    exit 2
}

action='' entries=() from='' command='' corpora=$root/corpus
while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        merge | prune | stats | upgrade)
            [[ -z $action ]] || bad_use "one action at a time"
            action=$1
            shift
            continue
            ;;
        --entry | --from | --command | --corpora) (($# > 1)) || bad_use "$1 needs a value" ;;
        *) bad_use "unknown argument \"$1\"" ;;
    esac
    case $1 in
        --entry)
            is_bundled_entry "$2" || bad_use "--entry: no bundled entry \"$2\""
            entries+=("$2")
            ;;
        --from)
            [[ -d $2 ]] || bad_use "--from: no folder \"$2\""
            from=$2
            ;;
        --command)
            [[ -f $2 && -x $2 ]] || bad_use "--command: no program \"$2\""
            command=$(realpath -- "$2") # this file, whatever else has its name on the shell's path
            ;;
        --corpora)
            [[ -d $2 ]] || bad_use "--corpora: no folder \"$2\""
            corpora=$2
            ;;
    esac
    shift 2
done
[[ -n $action ]] || bad_use "merge, prune, stats or upgrade?"
[[ -z $from || $action == merge ]] || bad_use "--from: only merge takes new inputs"
[[ -n $from ]] || from=$root/build/fuzz/runs
if ((${#entries[@]} == 0)); then
    mapfile -t entries < <(bundled_entries)
fi
for entry in "${entries[@]}"; do
    # What framefold puts back counts as one.
    [[ $action == merge || -d $corpora/$entry ]] || compgen -G "$corpora/$entry.*.new.old" >/dev/null || bad_use "no folder \"$corpora/$entry\""
done

if [[ -z $command ]]; then
    (
        cd "$root"
        ci/deps.sh
        cmake --preset release --log-level=WARNING
        cmake --build --preset release -j"$(nproc)" --target framefold
    ) >&2
    command=$root/build/release/framefold
fi

status=0
for entry in "${entries[@]}"; do
    folder=$corpora/$entry
    arguments=("$folder")
    if [[ $action == merge ]]; then
        new=$from/$entry
        if [[ -d $new/corpus ]]; then new=$new/corpus; fi
        if [[ ! -d $new ]]; then
            printf 'corpus: %s: nothing new\n' "$entry"
            continue
        fi
        arguments+=("$new")
    fi
    step=0
    "$command" corpus "$action" --entry "$entry" "${arguments[@]}" || step=$?
    ((step <= 1)) || exit "$step"
    ((step == 0)) || status=1
done
exit "$status"
