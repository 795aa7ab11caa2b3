# What the action's steps share; read by each of them. POSIX sh.
# shellcheck shell=sh

# Says what is wrong and what to do, in the log and on the run's page, and ends with a code. A message is one line: what
# follows the end of a line would be read as a command to the runner.
fail() {
    code=$1
    shift
    message=$(printf '%s' "$*" | tr '\r\n' '  ')
    # To standard error, as a step may be writing its result; the runner reads commands from both.
    printf '::error title=portcullis::%s\n' "$(printf '%s' "$message" | sed 's/%/%25/g')" >&2
    printf '\n> [!CAUTION]\n> %s\n' "$message" >>"$GITHUB_STEP_SUMMARY"
    exit "$code"
}

# Demands programs that runners of GitHub have.
need() {
    for program in "$@"; do
        command -v "$program" >/dev/null 2>&1 ||
            fail 1 "\`$program\` is not installed on this runner; GitHub's own runners have it"
    done
}

# Sets an output of the step. Values are numbers, hashes and paths, never text of strangers.
output() {
    printf '%s=%s\n' "$1" "$2" >>"$GITHUB_OUTPUT"
}

# A folder of our own for the stack, outside the repository, so that nothing in it was committed by somebody.
stack_folder() {
    mkdir -p "$RUNNER_TEMP/portcullis/$STACK"
    printf '%s\n' "$RUNNER_TEMP/portcullis/$STACK"
}

# What portcullis prints holds text from specs and from the cloud, and a line in it that begins with `::` would be a command
# to the runner: <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>. Nobody can guess the word
# that lets it listen again.
deafen() {
    word=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf '::stop-commands::%s\n' "$word" >&2
}
listen() {
    printf '::%s::\n' "$word" >&2
}
