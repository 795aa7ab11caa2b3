#!/bin/sh
# Writes the comment of a stack: the one that is there, or a first one.
#
# Takes GH_TOKEN, NUMBER (of the pull request) and BODY (a file, whose first line marks the comment).
set -eu
. "$(dirname "$0")/common.sh"
need gh

MARKER=$(head -n 1 "$BODY")
export MARKER
# Ours is by the job's own author: anybody may write the marker.
mine='.[] | select(.user.login == "github-actions[bot]" and (.body | split("\n")[0] | rtrimstr("\r")) == env.MARKER) | .id'
denied="the comment cannot be read or written: the job needs \`permissions: pull-requests: write\`"
all=$(gh api --paginate "repos/$GITHUB_REPOSITORY/issues/$NUMBER/comments?per_page=100" --jq "$mine") || fail 1 "$denied"
old=$(printf '%s\n' "$all" | head -n 1)
if [ -n "$old" ]; then
    gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$old" -F "body=@$BODY" || fail 1 "$denied"
else
    gh api --silent --method POST "repos/$GITHUB_REPOSITORY/issues/$NUMBER/comments" -F "body=@$BODY" || fail 1 "$denied"
fi
