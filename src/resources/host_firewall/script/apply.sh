# Carries a change out: all of it, or nothing. TX, SERIAL, WITHIN, BOOT and ABOUT were set before; write_bundle writes the
# inputs.

say() { printf '%s=%s\n' "$1" "$2"; }
stop() { say outcome "$1"; [ -z "${2-}" ] || say why "$2"; }

apply() {
  for tool in flock mv mkdir readlink $TOOLS; do
    have "$tool" || { stop missing "$tool"; return; }
  done
  mkdir -p -m 0700 "$run" || { stop unwritable "$run cannot be made"; return; }
  lock 10 || { stop busy; return; }
  others || return
  [ "$(cat "$run/serial" 2>/dev/null)" = "$SERIAL" ] || { stop changed; return; }
  tx=$run/$TX
  if ! { mkdir "$tx" && write_bundle && : >"$tx/log" && printf '%ssession=%s\n' "$ABOUT" "$(connection "${1-}")" >"$tx/about"; }; then
    rm -rf "$tx"; stop unwritable "$run has no room, or cannot be written"; return
  fi
  boot_stage || { boot_unstage; rm -rf "$tx"; stop unwritable "$why"; return; }
  if [ "$WITHIN" -gt 0 ]; then
    printf 'until=%s\n' "$(($(date +%s) + WITHIN))" >>"$tx/about" && : >"$tx/pending" && arm ||
      { mv "$tx/pending" "$tx/undone" 2>/dev/null; boot_unstage; rm -rf "$tx"; stop unarmed "$why"; return; }
    say until "$(sed -n 's/^until=//p' "$tx/about")"
  fi
  carry_out
}

# Changes that are not decided yet. We have the lock, so nobody is carrying one out; one without a living guard is taken back
# here, as nobody else will do it.
others() {
  for tx in "$run"/*/; do
    tx=${tx%/}
    if [ -e "$tx/pending" ]; then
      guarded || take_back
    fi
    if [ -e "$tx/pending" ] || [ -e "$tx/rolling-back" ]; then
      stop pending; say id "${tx##*/}"; say clock "$(date +%s)"; cat "$tx/about"; return 1
    fi
    [ "$tx" = "$run/*" ] || rm -rf "$tx"
  done
}

# Begins the guard where nothing that ends this session ends it, and proves that it stands by.
arm() {
  why='neither systemd nor setsid is here: nobody could take the change back'
  if [ -d /run/systemd/system ] && [ "$(readlink /proc/1/ns/net)" = "$(readlink /proc/self/ns/net)" ]; then
    why=$(systemd-run --quiet --collect --unit="portcullis-$TX" /bin/sh "$tx/guard" 2>&1) ||
      { why="systemd-run: $why"; return 1; }
  elif have setsid; then
    setsid nohup sh "$tx/guard" </dev/null >/dev/null 2>&1 9>&- &
  else
    return 1
  fi
  looked=0
  until [ -e "$tx/armed" ]; do
    [ "$looked" -lt 10 ] || { why='the guard that would take the change back did not begin'; return 1; }
    looked=$((looked + 1)); sleep 0.1 2>/dev/null || sleep 1
  done
  guarded || { why='the guard that would take the change back ended at once'; return 1; }
}

carry_out() {
  # Whoever hangs up now, the change is carried out whole.
  trap '' HUP INT TERM PIPE
  if ! play forward stop >>"$tx/log" 2>&1; then
    program=$refused
    if play_back 5 >>"$tx/undo" 2>&1; then stop failed; else stop stuck; fi
    [ ! -e "$tx/pending" ] || mv "$tx/pending" "$tx/undone"
    boot_unstage
    say program "$program"; say why "$(tail -n 5 "$tx/log" | tr '\n' ' ')"
    return
  fi
  printf '%s\n' "$TX" >"$run/serial"
  : >"$tx/applied"
  if [ "$WITHIN" -gt 0 ]; then stop pending-confirm; return; fi
  if boot_settle 2>>"$tx/log"; then stop applied; else stop unsettled "$(tail -n 5 "$tx/log" | tr '\n' ' ')"; fi
  rm -rf "$tx"
}

main() {
  section outcome apply "$@"
  finished
}
main "$@" </dev/null
