#!/usr/bin/env bash
# Puts into $SRC what build.sh needs and the base builder's distribution lacks or has too old. See --help.
set -euo pipefail

readonly unicorn_version=2.1.1
# Of the release's archive; the distribution that framefold is developed on builds the same bytes.
readonly unicorn_sha256=8740b03053162c1ace651364c4c5e31859eeb6c522859aa00cb4c31fa9cbbed2

# Headers alone: name, repository, release, the folder with the headers.
readonly headers=(
    "fmt https://github.com/fmtlib/fmt.git 9.1.0 include"
    "tomlplusplus https://github.com/marzer/tomlplusplus.git v3.3.0 include"
    "cli11 https://github.com/CLIUtils/CLI11.git v2.1.2 include"
    "json https://github.com/nlohmann/json.git v3.11.2 include"
)
readonly xen_repository=https://github.com/xen-project/xen.git xen_release=RELEASE-4.17.0

usage() {
    cat <<END
usage: SRC=FOLDER ci/oss-fuzz/dependencies.sh [--help]

For the Dockerfiles. Fetches Unicorn $unicorn_version to \$SRC/unicorn, checked by its SHA-256, and to \$SRC/dependencies/include the
headers of ${headers[*]%% *} and xen ($xen_release), each of a fixed release. Builds nothing; needs the network.

Exit status: 0 all is there; 2 wrong use; else that of the step that failed, and nothing half fetched is left under these names.
END
}

bad_use() {
    printf 'dependencies: %s (--help says more)\n' "$*" >&2
    exit 2
}

case ${1:-} in
    '') ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) bad_use "unknown argument \"$1\"" ;;
esac
[[ -d ${SRC:-} ]] || bad_use "SRC: expected the folder for sources, got \"${SRC:-}\""

scratch=$(mktemp -d "$SRC/dependencies.XXXXXX")
readonly scratch
trap 'rm -rf "$scratch"' EXIT

curl -fsSL --retry 3 -o "$scratch/unicorn.tar.gz" \
    "https://github.com/unicorn-engine/unicorn/archive/refs/tags/$unicorn_version.tar.gz"
echo "$unicorn_sha256  $scratch/unicorn.tar.gz" | sha256sum --check --quiet
mkdir "$scratch/unicorn"
tar -xzf "$scratch/unicorn.tar.gz" -C "$scratch/unicorn" --strip-components=1

mkdir -p "$scratch/dependencies/include"
for line in "${headers[@]}"; do
    read -r name repository release folder <<<"$line"
    git clone -q --depth 1 --branch "$release" "$repository" "$scratch/$name"
    cp -R "$scratch/$name/$folder/." "$scratch/dependencies/include/"
done
git clone -q --depth 1 --branch "$xen_release" "$xen_repository" "$scratch/xen"
public=$scratch/xen/xen/include/public
mkdir -p "$scratch/dependencies/include/xen/foreign"
cp -R "$public/." "$scratch/dependencies/include/xen/"
# The layouts of the other architectures are made of the native ones.
for width in 32 64; do
    python3 "$scratch/xen/tools/include/xen-foreign/mkheader.py" "x86_$width" \
        "$scratch/dependencies/include/xen/foreign/x86_$width.h" \
        "$public/arch-x86/xen-x86_$width.h" "$public/arch-x86/xen.h" "$public/xen.h"
done

rm -rf "$SRC/unicorn" "$SRC/dependencies"
mv "$scratch/unicorn" "$scratch/dependencies" "$SRC/"
