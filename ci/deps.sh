#!/usr/bin/env bash
# Installs what framefold needs and this machine lacks, and nothing else. Where all is present it needs neither root
# nor network and changes nothing.
#
# Unicorn is the one package with a history. On 2.0.1 each guest store takes the self-modifying-code path, about 115 ns
# instead of 1 ns, which makes a whole run about four times slower. Where the distribution has only that, the package
# of the distribution's next release is unpacked under .deps/unicorn, beside the system and not into it: apt fetches it
# with package lists of its own, from the registry that this machine's sources name, under this machine's proxies,
# credentials and keyring. cmake/FindUnicorn.cmake looks there first.
set -euo pipefail

readonly packages=(
    clang libclang-rt-dev llvm clang-format clang-tidy afl++ # llvm: llvm-symbolizer, llvm-profdata, llvm-cov
    g++ binutils lld cmake ninja-build pkg-config git python3
    libcapstone-dev libelf-dev libdw-dev libtomlplusplus-dev libcli11-dev libfmt-dev nlohmann-json3-dev libxen-dev
    zlib1g-dev liblzma-dev libbz2-dev # what the former need where all is linked statically
    libgtest-dev libgmock-dev libbenchmark-dev
    gdb # the tests of `framefold debug` run it
)
readonly browser_packages=(chromium fonts-dejavu-core) # the test of the HTML reports drives it
readonly unicorn_package=libunicorn-dev
readonly unicorn_wanted=2.1.1  # the first with cheap guest stores
readonly unicorn_required=2.0.1

# A fetch here takes seconds; a stalled connection never ends by itself.
readonly fetch_tries=3 fetch_seconds=180

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly deps=$root/.deps
readonly unpacked=$deps/unicorn
readonly stamp=$unpacked/framefold.stamp       # "<package version> <architecture> <release>"
readonly no_newer=$deps/unicorn-newer-refused  # when the newer one was last found not to be had
readonly log=$deps/deps.log

usage() {
    cat <<END
usage: ci/deps.sh [--browser] [--unicorn=WHICH] [--help]

Installs what framefold needs and this machine lacks.

  --browser         also Chromium, which the test of the HTML reports drives (some 120 MB to fetch)
  --unicorn=auto    Unicorn $unicorn_wanted or newer, from the distribution or its next release; else the distribution's (default)
  --unicorn=newer   the same, but it is an error if that cannot be had
  --unicorn=system  the distribution's Unicorn, whatever its version
  --unicorn=both    auto, and the distribution's as well

FRAMEFOLD_UNICORN in the environment sets the default of --unicorn.
Exit status: 0 all is there, 2 wrong use or no way to become root, 3 something could not be installed.
END
}

say() { printf 'deps: %s\n' "$*"; }
complain() { printf 'deps: %s\n' "$*" >&2; }

bad_use() {
    complain "$* (--help lists the options)"
    exit 2
}

failed() {
    if [[ -n ${log_started:-} && -s $log ]]; then
        printf -- '---- end of %s\n' "$log" >&2
        tail -n 40 "$log" >&2
        printf -- '----\n' >&2
    fi
    complain "$*"
    exit 3
}

# ---- what is there ---------------------------------------------------------------------------------------------------

# The version of an installed package of this architecture; nothing when it is not installed.
installed_version() {
    { dpkg-query -W -f '${db:Status-Status} ${Architecture} ${Version}\n' "$1" 2>/dev/null || true; } |
        awk -v native="$architecture" '$1 == "installed" && ($2 == native || $2 == "all") { print $3; exit }'
}

missing_of() {
    { dpkg-query -W -f '${db:Status-Status} ${Architecture} ${Package}\n' "$@" 2>/dev/null || true; } |
        awk -v native="$architecture" -v wanted="$*" '
            $1 == "installed" && ($2 == native || $2 == "all") { have[$3] = 1 }
            END { n = split(wanted, name, " "); for (i = 1; i <= n; i++) if (!(name[i] in have)) print name[i] }'
}

at_least() { [[ -n $1 ]] && dpkg --compare-versions "$1" ge "$2"; }

# The version under .deps/unicorn; nothing when it is not whole or was made for another architecture.
unpacked_version() {
    local version arch rest
    [[ -f $stamp && -f $unpacked/usr/include/unicorn/unicorn.h ]] || return 0
    compgen -G "$unpacked/usr/lib/*/libunicorn.a" >/dev/null || return 0
    read -r version arch rest <"$stamp" || return 0
    if [[ $arch == "$architecture" ]] && at_least "$version" "$unicorn_wanted"; then printf '%s\n' "$version"; fi
}

# ---- installing from the distribution --------------------------------------------------------------------------------

logged() { { printf '\n$ %s\n' "$*" && "$@"; } >>"$log" 2>&1; }

start_log() {
    if [[ -z ${log_started:-} ]]; then
        mkdir -p "$deps"
        : >"$log"
        log_started=1
    fi
}

retried() {
    local try
    for ((try = 1; try <= fetch_tries; try++)); do
        if ((try > 1)); then say "trying again ($try of $fetch_tries)"; fi
        if "$@"; then return 0; fi
    done
    return 1
}

as_root=() # what goes before a command that needs root

# become_root COMMAND: the command is what a person without sudo is told to run.
become_root() {
    if ((EUID == 0)); then return; fi
    if ! command -v sudo >/dev/null; then
        complain "neither root nor sudo here; run as root: $*"
        exit 2
    fi
    as_root=(sudo)
    if [[ ! -t 0 ]]; then as_root+=(-n); fi
}

apt_as_root() {
    local seconds=$1
    shift
    logged "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C \
        timeout "$seconds" apt-get -q -y -o DPkg::Lock::Timeout=120 "$@"
}

update_lists() {
    if [[ -n ${lists_updated:-} ]]; then return; fi
    start_log
    become_root "apt-get update"
    say "updating the package lists"
    retried apt_as_root "$fetch_seconds" -o APT::Update::Error-Mode=any update ||
        say "apt-get update failed at least in part; going on with the lists there are (${log#"$root"/})"
    lists_updated=1
}

install_packages() {
    local package
    become_root "apt-get update && apt-get install -y --no-install-recommends $*"
    update_lists
    say "installing $*"
    # Fetching may stall and is cut off; unpacking and configuring never are.
    retried apt_as_root $((fetch_seconds * 3)) install --no-install-recommends --download-only "$@" ||
        failed "could not fetch: $*"
    apt_as_root 0 install --no-install-recommends "$@" || failed "could not install: $*"
    for package in "$@"; do say "$package $(installed_version "$package") installed"; done
}

# The version that this distribution would install; the lists are updated only where they do not know.
system_candidate() {
    LC_ALL=C apt-cache policy "$unicorn_package" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

# ---- Unicorn of the next release -------------------------------------------------------------------------------------

next_release() {
    case "$1" in
        bullseye) echo bookworm ;;
        bookworm) echo trixie ;;
        trixie) echo forky ;;
    esac
}

# write_sources SUITE NEXT FOLDER: for each of the machine's enabled binary sources of SUITE with component main,
# FOLDER/<n>.sources names the same registry and keyring with suite NEXT. What would waive a signature is left out.
write_sources() {
    local list parts file files=()
    eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
    shopt -s nullglob
    for file in "$list" "${parts%/}"/*.list "${parts%/}"/*.sources; do
        if [[ -f $file && -r $file ]]; then files+=("$file"); fi
    done
    shopt -u nullglob
    if ((${#files[@]} == 0)); then return; fi
    awk -v suite="$1" -v next_suite="$2" -v out="$3" -v keyring="$distribution_keyring" '
        function has(list, word,    words, n, i) {
            n = split(list, words, " ")
            for (i = 1; i <= n; i++) if (words[i] == word) return 1
            return 0
        }
        function emit(uris, signed_by, more,    file) {
            file = out "/" ++count ".sources"
            if (signed_by == "") signed_by = keyring
            printf "Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n", uris, next_suite > file
            if (signed_by != "") printf "Signed-By: %s\n", signed_by > file
            printf "%s", more > file
            close(file)
        }
        function end_stanza(    more, i) {
            if (has(value["types"], "deb") && has(value["suites"], suite) && has(value["components"], "main") &&
                tolower(value["enabled"]) !~ /^(no|false|without|off|disable|0)[ \t]*$/) {
                for (i in kept) if (kept[i] in value) more = more kept[i] ": " value[kept[i]] "\n"
                emit(value["uris"], value["signed-by"], more)
            }
            split("", value)
        }
        BEGIN { split("check-valid-until check-date", kept, " ") }
        FNR == 1 { end_stanza() }
        /^[ \t]*#/ { next }
        FILENAME ~ /\.sources$/ {
            if ($0 ~ /^[ \t]*$/) end_stanza()
            else if ($0 ~ /^[ \t]/) value[key] = value[key] "\n" $0
            else {
                colon = index($0, ":")
                key = tolower(substr($0, 1, colon - 1))
                text = substr($0, colon + 1)
                sub(/^[ \t]+/, "", text)
                value[key] = text
            }
            next
        }
        $1 == "deb" {
            line = $0
            sub(/#.*/, "", line)
            sub(/^[ \t]*deb[ \t]+/, "", line)
            options = ""
            if (line ~ /^\[/) {
                options = substr(line, 2, index(line, "]") - 2)
                line = substr(line, index(line, "]") + 1)
            }
            split("", word)
            split(line, word, " ")
            rest = line
            sub(/^[ \t]*[^ \t]+[ \t]+[^ \t]+/, "", rest)
            if (word[2] != suite || !has(rest, "main")) next
            signed_by = more = ""
            n = split(options, option, " ")
            for (i = 1; i <= n; i++) {
                equals = index(option[i], "=")
                name = tolower(substr(option[i], 1, equals - 1))
                text = substr(option[i], equals + 1)
                if (name == "signed-by") { gsub(/,/, " ", text); signed_by = text }
                for (j in kept) if (kept[j] == name) more = more name ": " text "\n"
            }
            emit(word[1], signed_by, more)
        }
        END { end_stanza() }
    ' "${files[@]}"
}

# write_apt_conf FOLDER: an apt configuration that is read after the machine's own, so its proxies and credentials stay
# in force while everything that apt reads from or writes to the system is replaced.
write_apt_conf() {
    local folder=$1
    mkdir -p "$folder/lists/partial" "$folder/archives/partial" "$folder/sources" "$folder/none"
    : >"$folder/status"
    cat >"$folder/apt.conf" <<END
Dir::State "$folder";
Dir::State::lists "$folder/lists/";
Dir::State::status "$folder/status";
Dir::State::extended_states "$folder/extended_states";
Dir::Cache "$folder";
Dir::Cache::archives "$folder/archives/";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$folder/sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "$folder/none";
Dir::Log "$folder";
#clear APT::Default-Release;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
APT::Architectures { "$architecture"; };
#clear Acquire::Languages;
Acquire::Languages { "none"; };
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
END
}

own_apt() {
    local tool=$1
    shift
    LC_ALL=C "$tool" -c "$scratch/apt.conf" "$@"
}

newer_candidate() { own_apt apt-cache policy "$unicorn_package" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'; }

update_newer() {
    logged own_apt_get -o APT::Update::Error-Mode=any update && [[ -n $(newer_candidate) ]]
}

own_apt_get() { LC_ALL=C timeout "$fetch_seconds" apt-get -q -c "$scratch/apt.conf" "$@"; }

download_newer() { (cd "$scratch/debs" && logged own_apt_get download "$@"); }

# Puts the unpacked tree in place by renaming, so that what stands there is whole at any time. Another deps.sh that was
# quicker is as good.
put_in_place() {
    if [[ -e $unpacked ]]; then mv -T "$unpacked" "$scratch/replaced"; fi
    mv -T "$scratch/tree" "$unpacked" 2>/dev/null || [[ -n $(unpacked_version) ]]
}

# Unpacks the next release's Unicorn to .deps/unicorn; says why not and returns 1 where it cannot be had.
unpack_newer() {
    local release source version shared deb
    release=$(next_release "$codename")
    if [[ $distribution != debian || -z $release ]]; then
        say "no newer Unicorn known for ${distribution:-this system} ${codename:-without a code name}"
        return 1
    fi
    start_log
    scratch=$(mktemp -d "$deps/apt.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    chmod 755 "$scratch" # apt drops its privileges to fetch
    mkdir "$scratch/found" "$scratch/debs" "$scratch/tree"
    write_apt_conf "$scratch"
    write_sources "$codename" "$release" "$scratch/found"

    # More than one registry may carry this release's name; the distribution's own is the one that has the package.
    if [[ -z $(ls "$scratch/found") ]]; then
        say "no package source of $codename here to derive that of $release from"
        return 1
    fi
    version=
    for source in "$scratch"/found/*.sources; do
        say "fetching Unicorn of $release"
        rm -rf "$scratch"/sources/* "$scratch"/lists
        mkdir -p "$scratch/lists/partial"
        cp "$source" "$scratch/sources/"
        retried update_newer || continue
        version=$(newer_candidate)
        if at_least "$version" "$unicorn_wanted"; then break; fi
    done
    if ! at_least "$version" "$unicorn_wanted"; then
        say "$release has no Unicorn $unicorn_wanted or newer that can be fetched here (${log#"$root"/})"
        return 1
    fi
    # Its name changes with ABI transitions (libunicorn2, libunicorn2t64).
    shared=$(own_apt apt-cache show --no-all-versions "$unicorn_package" |
        awk '$1 == "Depends:" { for (i = 2; i <= NF; i++) if ($i ~ /^libunicorn[0-9]/) { sub(/,$/, "", $i); print $i; exit } }')
    if ! retried download_newer "$unicorn_package=$version" ${shared:+"$shared"}; then
        say "could not fetch $unicorn_package $version of $release (${log#"$root"/})"
        return 1
    fi
    for deb in "$scratch"/debs/*.deb; do
        logged dpkg-deb -x "$deb" "$scratch/tree" || failed "could not unpack ${deb##*/}"
    done
    printf '%s %s %s\n' "$version" "$architecture" "$release" >"$scratch/tree/${stamp##*/}"
    chmod 755 "$scratch/tree"
    put_in_place || failed "could not put ${unpacked#"$root"/} in place"
    rm -rf "$scratch" "$no_newer"
    if [[ -z $(unpacked_version) ]]; then failed "$unicorn_package $version of $release brings no headers or no static library"; fi
    say "unicorn $version of $release unpacked to ${unpacked#"$root"/}"
}

# ---- Unicorn ---------------------------------------------------------------------------------------------------------

provide_system_unicorn() {
    local version
    version=$(installed_version "$unicorn_package")
    if [[ -n $version ]]; then
        say "unicorn $version of the distribution present"
    else
        install_packages "$unicorn_package"
        version=$(installed_version "$unicorn_package")
    fi
    if ! at_least "$version" "$unicorn_required"; then
        failed "Unicorn $version is too old: framefold needs $unicorn_required or newer"
    fi
}

# 2.0.1.post1-1+b1 is 2.0.1.
upstream_version() { grep -oE '^[0-9]+\.[0-9]+\.[0-9]+' <<<"$1"; }

fall_back() {
    local version
    if [[ $1 == newer ]]; then failed "Unicorn $unicorn_wanted or newer cannot be had here"; fi
    provide_system_unicorn
    version=$(installed_version "$unicorn_package")
    say "Unicorn $(upstream_version "$version"): works, about 4 times slower, a guest store costs ~115 ns instead of ~1 ns"
}

# Unicorn as fast as it can be had: installed, unpacked, the distribution's, the next release's; else what there is.
provide_fast_unicorn() {
    local version
    version=$(installed_version "$unicorn_package")
    if at_least "$version" "$unicorn_wanted"; then
        say "unicorn $version of the distribution present"
        return
    fi
    version=$(unpacked_version)
    if [[ -n $version ]]; then
        say "unicorn $version present in ${unpacked#"$root"/}"
        return
    fi
    # A refusal is believed for a day, so that set-up without network stays quick where there is none.
    if [[ $1 != newer && -n $(find "$no_newer" -mmin -1440 2>/dev/null) ]]; then
        say "the newer Unicorn could not be had less than a day ago; --unicorn=newer tries again"
        fall_back "$1"
        return
    fi
    if [[ -z $(system_candidate) ]]; then update_lists; fi
    if at_least "$(system_candidate)" "$unicorn_wanted"; then
        install_packages "$unicorn_package"
        return
    fi
    if ! unpack_newer; then
        mkdir -p "$deps"
        : >"$no_newer"
        fall_back "$1"
    fi
}

# ---- main ------------------------------------------------------------------------------------------------------------

which_unicorn=${FRAMEFOLD_UNICORN:-auto}
origin="FRAMEFOLD_UNICORN="
with_browser=
while (($# > 0)); do
    case "$1" in
        --browser) with_browser=1 ;;
        --unicorn=*) which_unicorn=${1#--unicorn=} origin=--unicorn= ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) bad_use "unknown option: $1" ;;
    esac
    shift
done
case "$which_unicorn" in
    auto | newer | system | both) ;;
    *) bad_use "$origin$which_unicorn: expected auto, newer, system or both" ;;
esac
if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    complain "this script needs apt (Debian and its derivatives); elsewhere install by hand: ${packages[*]} $unicorn_package"
    exit 2
fi

architecture=$(dpkg --print-architecture)
# shellcheck source=/dev/null
distribution=$(. /etc/os-release && echo "${ID:-}")
# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
distribution_keyring=/usr/share/keyrings/debian-archive-keyring.gpg
if [[ ! -f $distribution_keyring ]]; then distribution_keyring=; fi

wanted=("${packages[@]}")
if [[ -n $with_browser ]]; then wanted+=("${browser_packages[@]}"); fi
if [[ $which_unicorn == system || $which_unicorn == both ]]; then wanted+=("$unicorn_package"); fi
read -r -d '' -a missing <<<"$(missing_of "${wanted[@]}")" || true # ends at end of file
say "$((${#wanted[@]} - ${#missing[@]})) of ${#wanted[@]} packages present"
if ((${#missing[@]} > 0)); then install_packages "${missing[@]}"; fi

if [[ $which_unicorn == system || $which_unicorn == both ]]; then provide_system_unicorn; fi
if [[ $which_unicorn != system ]]; then provide_fast_unicorn "$which_unicorn"; fi
