#!/bin/sh
# Refuses what cannot be meant, before anything is built or called.
#
# Takes MODE, STACK, SPEC, HASH and BINARY as the action's inputs say. Gives the output `source`, by which a built
# portcullis is found again: a digest of what it is built from, as a branch or a tag may move.
set -eu
. "$(dirname "$0")/common.sh"

case $MODE in
plan | apply) ;;
*) fail 64 "mode is \`plan\` or \`apply\`" ;;
esac
# The name goes into file names and addresses, so it is checked here and not only by portcullis.
case $STACK in
'' | [!a-z]* | *[!a-z0-9-]*) fail 64 "stack is the name that the spec says: a lower-case letter, then a-z, 0-9 and -" ;;
esac
[ -n "$SPEC" ] || fail 64 "spec is missing: files or directories, one a line"
case $HASH in
*[!0-9a-f]*) fail 64 "hash is the 64 hex digits that a plan prints" ;;
esac
if [ -n "$HASH" ] && [ "${#HASH}" -ne 64 ]; then
    fail 64 "hash is the 64 hex digits that a plan prints"
fi
# That event hands the repository's secrets to a run about a stranger's branch.
if [ "$GITHUB_EVENT_NAME" = pull_request_target ]; then
    fail 64 "pull_request_target would give a stranger's spec the credentials of this repository: use \`on: pull_request\`"
fi
if [ "$MODE" = apply ] && [ "$GITHUB_EVENT_NAME" = pull_request ]; then
    fail 64 "apply is for what is merged: run it \`on: push\` to the branch that pull requests go to"
fi

if [ -z "$BINARY" ]; then
    cd "$(dirname "$0")/../../.."
    output source "$(find Cargo.toml Cargo.lock src -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c 1-64)"
fi
