# Stands by on the host itself, and takes the change back unless it is confirmed in time. It outlives the session that
# began it. WITHIN is in seconds, counted here: the host's clock may be set meanwhile.
trap '' HUP
# Begun in another network namespace it would change another packet filter.
[ "$run" = "${tx%/*}" ] || exit 1
[ -e "$tx/pending" ] && ls "$tx"/back.* >/dev/null || exit 1
printf '%s\n' "$$" >"$tx/armed.new" && mv "$tx/armed.new" "$tx/armed" || exit 1
waited=0
while [ "$waited" -lt "$WITHIN" ]; do
  sleep 1
  [ -e "$tx/pending" ] || exit 0
  waited=$((waited + 1))
done
# Whoever is still carrying the change out has the lock; half of it cannot be taken back.
lock 60
take_back
