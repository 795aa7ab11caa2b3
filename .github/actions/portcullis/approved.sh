#!/bin/sh
# Finds the plan that was approved, and its hash: that of the merged pull request, or, where HASH is given, that of this run.
#
# A pull request's plan counts only if
#   - this very commit is what the pull request was merged as,
#   - its branch is of this repository, as anybody may upload an artifact from a fork,
#   - a `pull_request` run of this same workflow made it, for the last commit of the branch, before the merge,
#   - and the comment of github-actions[bot], which the reviewers read, names the hash that the plan says it has.
# Whether the plan *has* that hash is for `portcullis apply --expect` to find out.
#
# Takes GH_TOKEN, STACK and HASH (may be empty). Gives the outputs `plan` and `hash`.
set -eu
. "$(dirname "$0")/common.sh"
need gh jq unzip

folder=$(stack_folder)
plan=$folder/approved.json
zip=$folder/approved.zip
rm -f "$plan" "$zip"
api=repos/$GITHUB_REPOSITORY
again="Run this workflow by hand (Actions, Run workflow): it plans what is merged, and applies that once it is approved."

get() {
    gh api "$@" || fail 1 "GitHub does not answer: the job needs \`permissions: actions: read, contents: read, pull-requests: read\`"
}

if [ -n "$HASH" ]; then
    approved=$HASH
    listed=$(get "$api/actions/runs/$GITHUB_RUN_ID/artifacts?name=portcullis-$STACK-$GITHUB_SHA")
    found=$(printf '%s' "$listed" | jq -c '[.artifacts[] | select(.expired | not)] | sort_by(.created_at) | last // empty')
    [ -n "$found" ] || fail 1 "no job of this run made a plan for stack $STACK: let a job with \`mode: plan\` run before"
else
    pulls=$(get "$api/commits/$GITHUB_SHA/pulls")
    pull=$(printf '%s' "$pulls" |
        jq -c --arg sha "$GITHUB_SHA" '[.[] | select(.merged_at != null and .merge_commit_sha == $sha)] | first // empty')
    [ -n "$pull" ] || fail 1 "commit $GITHUB_SHA is not what a pull request was merged as, so nobody approved a plan for it. $again"
    number=$(printf '%s' "$pull" | jq -r '.number')
    head=$(printf '%s' "$pull" | jq -r '.head.sha')
    merged=$(printf '%s' "$pull" | jq -r '.merged_at')
    [ "$(printf '%s' "$pull" | jq -r '.head.repo.full_name')" = "$GITHUB_REPOSITORY" ] ||
        fail 1 "pull request #$number came from a fork, where no plan can be trusted. $again"

    workflow=${GITHUB_WORKFLOW_REF#"$GITHUB_REPOSITORY/"}
    workflow=${workflow%%@*}
    listed=$(get "$api/actions/artifacts?name=portcullis-$STACK-$head&per_page=100")
    candidates=$(printf '%s' "$listed" |
        jq -c --arg head "$head" --arg merged "$merged" '
            [.artifacts[] | select((.expired | not) and .created_at <= $merged and .workflow_run.head_sha == $head
                and .workflow_run.repository_id == .workflow_run.head_repository_id)]
            | sort_by(.created_at) | reverse | .[]')
    found=
    while IFS= read -r candidate; do
        [ -n "$candidate" ] || continue
        run=$(printf '%s' "$candidate" | jq -r '.workflow_run.id')
        made_by=$(get "$api/actions/runs/$run")
        if printf '%s' "$made_by" | jq -e --arg workflow "$workflow" --arg head "$head" '
            .event == "pull_request" and .head_sha == $head and (.path | split("@")[0]) == $workflow' >/dev/null; then
            found=$candidate
            break
        fi
    done <<END
$candidates
END
    [ -n "$found" ] ||
        fail 1 "no plan for stack $STACK was made for commit $head of pull request #$number before it was merged, or it has expired. $again"

    MARKER="<!-- portcullis:plan $STACK -->"
    export MARKER
    # Only the second line counts: below it stands what users and AWS wrote.
    named='.[] | select(.user.login == "github-actions[bot]") | .body | split("\n") | map(rtrimstr("\r"))
        | select(.[0] == env.MARKER) | .[1] // ""'
    seconds=$(get --paginate "$api/issues/$number/comments?per_page=100" --jq "$named")
    approved=$(printf '%s\n' "$seconds" | head -n 1 | sed -n "s/^<!-- portcullis:hash \([0-9a-f]\{64\}\) commit $head -->\$/\1/p")
    [ -n "$approved" ] || fail 3 "no comment on pull request #$number names a plan for stack $STACK and commit $head, so nobody could approve one. $again"
fi

id=$(printf '%s' "$found" | jq -r '.id')
get "$api/actions/artifacts/$id/zip" >"$zip"
# One named file, to where we say: nothing else that an archive may hold is ever unpacked.
unzip -p "$zip" plan.json >"$plan" || fail 1 "the artifact $id holds no plan.json. $again"
made=$(jq -r '.hash' "$plan") || fail 1 "the artifact $id holds no plan. $again"
[ "$made" = "$approved" ] || fail 3 "the plan that was kept is not the one that was approved: $made is not $approved. $again"
output plan "$plan"
output hash "$approved"
