#!/bin/sh
# Plans a stack, and writes what becomes the comment, the summary and the artifact. Ends with 0 also where portcullis did
# not: a plan that is refused, or a spec that is wrong, is told first, and fails the job in the last step.
#
# Takes PORTCULLIS, STACK, SPEC and ARGUMENTS (one a line), FOLDER. Gives the outputs `exitcode`, and, as far as there are
# any: `plan` (the file), `artifact` (its name), `hash`, `changes`, `body` (the comment), `pull-request` (its number).
set -eu
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
need jq

folder=$(stack_folder)
plan=$folder/plan.json
shown=$folder/plan.md
talk=$folder/talk.txt
body=$folder/comment.md
rm -f "$plan" "$shown" "$talk" "$body"

commit=$GITHUB_SHA
number=
stranger=
if [ "$GITHUB_EVENT_NAME" = pull_request ]; then
    # GITHUB_SHA is a merge that exists for this run alone; what is reviewed and found again is the branch's own commit.
    commit=$(jq -r '.pull_request.head.sha' "$GITHUB_EVENT_PATH")
    number=$(jq -r '.pull_request.number' "$GITHUB_EVENT_PATH")
    home=$(jq -r '.pull_request.head.repo.full_name' "$GITHUB_EVENT_PATH")
    [ "$home" = "$GITHUB_REPOSITORY" ] || stranger=yes
fi
case $commit$number in
*[!0-9a-f]*) fail 1 "the event names no commit" ;;
esac
run_page=$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID

# shellcheck disable=SC2153
cd "$FOLDER"
set --
if [ -z "$stranger" ]; then
    set -- plan --out "$plan" --format markdown --budget 60000 --detailed-exitcode
    while IFS= read -r line; do
        [ -z "$line" ] || set -- "$@" "$line"
    done <<END
$ARGUMENTS
END
else
    # A fork's run has no credentials, and must have none. What needs none is done.
    set -- validate
fi
set -- "$@" --
while IFS= read -r line; do
    [ -z "$line" ] || set -- "$@" "$line"
done <<END
$SPEC
END

status=0
"$PORTCULLIS" "$@" >"$shown" 2>"$talk" || status=$?
deafen
cat "$talk" >&2
listen
output exitcode "$status"

# Text of others as a block that nothing in it can end.
quoted() {
    longest=$(grep -o '``*' "$1" | awk '{ if (length > most) most = length } END { print most + 0 }')
    fence=$(printf '%*s' "$((longest > 2 ? longest + 1 : 3))" '' | tr ' ' '`')
    printf '%stext\n' "$fence"
    head -c 50000 "$1"
    printf '\n%s\n' "$fence"
}

hash=
if [ -z "$stranger" ] && [ -s "$plan" ] && [ -s "$shown" ]; then
    hash=$(jq -r '.hash // ""' "$plan")
    case $hash in
    '' | *[!0-9a-f]*) fail 1 "the plan has no hash: this portcullis is older than this action" ;;
    esac
    [ "$(jq -r '.stack' "$plan")" = "$STACK" ] ||
        fail 64 "the spec is of another stack than \`$STACK\`, which the workflow says: correct \`stack\` there"
    output plan "$plan"
    output artifact "portcullis-$STACK-$commit"
    output hash "$hash"
    output changes "$(jq '.changes | length' "$plan")"
fi

# The first line says whose comment it is, the second which plan: `approved.sh` reads them there and nowhere else.
title="<!-- portcullis:plan $STACK -->"
if [ -n "$stranger" ]; then
    cat "$shown" >>"$talk"
    printf '%s\n### No plan for stack `%s`\n\n' "$title" "$STACK"
    printf 'This pull request comes from a fork, which gets no credentials: the spec was checked offline, and nothing was '
    printf 'looked at. For a plan, somebody who trusts the change pushes it to a branch of this repository.\n\n'
    if [ -s "$talk" ]; then quoted "$talk"; fi
elif [ -n "$hash" ]; then
    printf '%s\n<!-- portcullis:hash %s commit %s -->\n' "$title" "$hash" "$commit"
    sed 1d "$shown"
    printf '\n---\nMade for commit `%s`, [in this run](%s). ' "$commit" "$run_page"
    case $status in
    0 | 2) printf 'Merged as it is, this plan is applied and no other.\n' ;;
    *) printf 'It is refused, and cannot be applied.\n' ;;
    esac
else
    printf '%s\n### No plan for stack `%s`\n\nPortcullis ended with %s for commit `%s`, [see the run](%s).\n\n' \
        "$title" "$STACK" "$status" "$commit" "$run_page"
    quoted "$talk"
fi >"$body"

output body "$body"
[ -n "$stranger" ] || output pull-request "$number"
# The first lines are for programs, and a summary shows what it is given.
grep -v '^<!-- portcullis:' "$body" >>"$GITHUB_STEP_SUMMARY"
