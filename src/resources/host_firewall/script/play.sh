# How inputs are played, and how a change is taken back. $run and $tx were set before.

# One at a time, per network namespace; the kernel frees it on any death. Whoever waits gives up after $1 seconds.
lock() {
  exec 9>"$run/lock" || return 1
  waited=0
  until flock -n 9; do
    [ "$waited" -lt "$1" ] || return 1
    waited=$((waited + 1)); sleep 1
  done
}
unlock() { exec 9>&-; }

# Whether the guard of this change lives: not as a zombie, nor as somebody else who got its number.
guarded() {
  guard=$(cat "$tx/armed" 2>/dev/null)
  [ -n "$guard" ] && tr '\000' ' ' <"/proc/$guard/cmdline" 2>/dev/null | grep -qF "$tx/guard"
}

# One input, by the program that its name says.
play_one() {
  case $1 in
    *.nft) nft -f "$1" ;;
    *.json) nft -j -f "$1" ;;
    *.ipset) ipset -exist restore <"$1" ;;
    *.v4) iptables-nft-restore -w 10 --noflush <"$1" ;;
    *.v6) ip6tables-nft-restore -w 10 --noflush <"$1" ;;
  esac 9>&-
}

# Plays the inputs whose names begin with $1, in order: of each the alternatives, until one is taken. `$2` says whether the
# first that fails is the last (`stop`) or not (`all`).
play() {
  refused=
  for input in "$tx/$1".*.0.*; do
    [ -e "$input" ] || continue
    taken=no
    for alternative in "${input%.0.*}".*; do
      play_one "$alternative" && { taken=yes; break; }
    done
    [ "$taken" = yes ] && continue
    refused=${input##*.}
    [ "$2" = all ] || break
  done
  [ -z "$refused" ]
}

# Back to what stood before. Somebody else may be in the way for a moment.
play_back() {
  tries=0
  until play back all; do
    tries=$((tries + 1))
    [ "$tries" -lt "$1" ] || return 1
    sleep 1
  done
}

# Takes a change back. Of all who rename `pending` rename(2) lets one win: a change is confirmed or taken back, never both.
take_back() {
  mv "$tx/pending" "$tx/rolling-back" 2>/dev/null || return 1
  if play_back 60 >>"$tx/log" 2>&1; then
    printf '%s-back\n' "${tx##*/}" >"$run/serial"
    (STACK=$(sed -n 's/^stack=//p' "$tx/about"); boot_unstage)
    mv "$tx/rolling-back" "$tx/rolled-back"
  else
    mv "$tx/rolling-back" "$tx/stuck"
  fi
  rm -f "$tx"/forward.* "$tx"/back.* "$tx"/boot.*
}
