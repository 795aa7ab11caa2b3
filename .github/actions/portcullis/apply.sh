#!/bin/sh
# Applies an approved plan, and no other, and says what its ending means.
#
# Takes PORTCULLIS, STACK, PLAN, HASH, SPEC and ARGUMENTS (one a line), FOLDER, ATTEMPTS; PAUSE, in seconds, is for tests.
# Gives the outputs `exitcode`, `journal` (a file) and `artifact` (what to call it).
set -eu
. "$(dirname "$0")/common.sh"

folder=$(stack_folder)
journal=$folder/journal.jsonl
outcome=$folder/outcome.txt
again="Run this workflow by hand (Actions, Run workflow): it plans what is merged, and applies that once it is approved."
output journal "$journal"
output artifact "portcullis-$STACK-journal-$GITHUB_RUN_ATTEMPT"

# shellcheck disable=SC2153
cd "$FOLDER"
set -- apply "$PLAN" --expect "$HASH" --journal "$journal"
while IFS= read -r line; do
    [ -z "$line" ] || set -- "$@" --spec "$line"
done <<END
$SPEC
END
while IFS= read -r line; do
    [ -z "$line" ] || set -- "$@" "$line"
done <<END
$ARGUMENTS
END

# A run that is cancelled gets a signal, and ten seconds. Portcullis has to hear of it, to await its calls and report.
child=
trap '[ -z "$child" ] || kill -INT "$child"' INT
trap '[ -z "$child" ] || kill -TERM "$child"' TERM
once() {
    status=0
    "$PORTCULLIS" "$@" >"$outcome" &
    child=$!
    wait "$child" || status=$?
    # A signal ends the wait, not the child.
    while kill -0 "$child" 2>/dev/null; do
        status=0
        wait "$child" || status=$?
    done
    child=
    cat "$outcome"
}

deafen
attempt=1
once "$@"
while [ "$status" -eq 75 ] && [ "$attempt" -lt "$ATTEMPTS" ]; do
    attempt=$((attempt + 1))
    printf 'Another apply of stack %s is under way: attempt %s of %s.\n' "$STACK" "$attempt" "$ATTEMPTS"
    sleep "${PAUSE:-30}"
    once "$@"
done
listen
output exitcode "$status"

{
    printf '### Apply of stack `%s`\n\nPlan `%s`. ' "$STACK" "$HASH"
    case $status in
    0) printf 'Applied; a second plan is empty.\n' ;;
    *) printf 'Ended with %s.\n' "$status" ;;
    esac
} >>"$GITHUB_STEP_SUMMARY"

case $status in
0) ;;
1) fail 1 "nothing was changed: the plan or the spec cannot be read, or the world could not be looked at; the log says which" ;;
3) fail 3 "nothing was changed: the plan is refused; the log says why. $again" ;;
4) fail 4 "nothing was changed: the plan is stale, as the spec is another one by now, or something that the plan read has changed; the log names it. $again" ;;
5) fail 5 "applied in part: the log says what is done and what is not. Once the cause is gone: $again" ;;
6) fail 6 "applied, yet a next plan is not empty: the log says what still differs. $again" ;;
75) fail 75 "nothing was changed: another apply of stack $STACK holds its lock, and still did after $attempt attempts; the log names it. When it is done, run this job again" ;;
130 | 143) fail "$status" "interrupted: the log says what was done, and what is not known. $again" ;;
*) fail "$status" "portcullis ended with $status; the log says more" ;;
esac
