# Looks at a change that waits, confirms it, or takes it back. MODE is ask, confirm or rollback; TX is its id, or `any`.

say() { printf '%s=%s\n' "$1" "$2"; }

decide() {
  if [ "$TX" = any ]; then
    tx=
    for one in "$run"/*/; do
      one=${one%/}
      { [ -e "$one/pending" ] || [ -e "$one/rolling-back" ]; } && tx=$one
    done
    [ -n "$tx" ] || { say state none; return; }
  else
    tx=$run/$TX
  fi
  case $MODE in
    confirm) confirm || return ;;
    rollback) [ -e "$tx/pending" ] && lock 10 && take_back ;;
  esac
  tell
}

confirm() {
  # What is still being carried out has not proved anything yet.
  looked=0
  while [ -e "$tx/pending" ] && ! [ -e "$tx/applied" ] && [ "$looked" -lt 20 ]; do
    looked=$((looked + 1)); sleep 1
  done
  [ -e "$tx/pending" ] || return 0
  if ! [ -e "$tx/applied" ]; then say state applying; return 1; fi
  session=$(sed -n 's/^session=//p' "$tx/about")
  if [ "$LOCAL" = yes ] && [ -n "$session" ] && [ "$session" = "$caller" ]; then say state same-session; return 1; fi
  mv "$tx/pending" "$tx/confirmed" 2>/dev/null || return 0
  if sh "$tx/settle" >>"$tx/log" 2>&1; then say boot settled
  else say boot unsettled; say why "$(tail -n 5 "$tx/log" | tr '\n' ' ')"; fi
  rm -f "$tx"/forward.* "$tx"/back.* "$tx"/boot.*
}

tell() {
  say id "${tx##*/}"
  state=gone
  for one in pending confirmed rolling-back rolled-back stuck undone; do
    [ -e "$tx/$one" ] && state=$one
  done
  say state "$state"
  say clock "$(date +%s)"
  [ "$state" = gone ] || cat "$tx/about"
  [ "$state" != stuck ] || say why "$(tail -n 5 "$tx/log" | tr '\n' ' ')"
  return 0
}

main() {
  section decision decide
  finished
}
caller=$(connection "${1-}")
main </dev/null
