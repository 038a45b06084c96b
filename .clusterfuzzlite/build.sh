#!/bin/bash -eux
# The same build as OSS-Fuzz's.
exec bash -eux "${FRAMEFOLD_SOURCE:-$SRC/framefold}/ci/oss-fuzz/build.sh" "$@"
