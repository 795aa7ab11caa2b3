#!/bin/sh
# Ends the job as portcullis ended, once everything is told. 2 says that changes are pending, which is no failure.
#
# Takes STATUS and STACK.
set -eu
. "$(dirname "$0")/common.sh"

case $STATUS in
0 | 2) ;;
1) fail 1 "there is no plan for stack $STACK: the spec is wrong, or the world could not be looked at; the log says which" ;;
3) fail 3 "the plan for stack $STACK is refused: the comment says why" ;;
64) fail 64 "portcullis does not understand its command line: look at \`arguments\`" ;;
*) fail "$STATUS" "portcullis ended with $STATUS for stack $STACK" ;;
esac
