# For other scripts to source, which have set `root`: the entries that are bundled.

# Their names, one a line.
bundled_entries() {
    local file
    for file in "$root"/entry/*/entry.toml; do
        file=${file%/entry.toml}
        printf '%s\n' "${file##*/}"
    done
}

is_bundled_entry() {
    [[ $1 =~ ^[A-Za-z0-9_.-]+$ && -f $root/entry/$1/entry.toml ]]
}
