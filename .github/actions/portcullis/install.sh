#!/bin/sh
# Finds a portcullis, or builds the one that this action came with: its repository stands around this folder, at the
# version that the workflow names, so tool and action are never of two versions.
#
# Takes BINARY (a path or a command; may be empty). Gives the output `binary`.
set -eu
. "$(dirname "$0")/common.sh"

if [ -n "$BINARY" ]; then
    found=$(command -v "$BINARY") || fail 1 "there is no \`$BINARY\` on this runner; leave \`binary\` out to have one built"
    case $found in
    /*) ;;
    *) found=$PWD/$found ;;
    esac
else
    source=$(cd "$(dirname "$0")/../../.." && pwd)
    root=$RUNNER_TEMP/portcullis-install
    found=$root/bin/portcullis
    if [ ! -x "$found" ]; then
        need cargo
        wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$source/Cargo.toml")
        if command -v rustup >/dev/null 2>&1; then
            rustup toolchain install "$wanted" --profile minimal
            RUSTUP_TOOLCHAIN=$wanted
            export RUSTUP_TOOLCHAIN
        fi
        cargo install --locked --path "$source" --root "$root"
    fi
fi
"$found" --version
output binary "$found"
