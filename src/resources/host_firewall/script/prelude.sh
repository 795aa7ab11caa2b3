# What every script of ours begins with. NONCE, STACK and LOCAL were set before.
set +e; set -u
umask 077
LC_ALL=C; export LC_ALL
# A login's PATH need not have the places where administrators' tools are.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin${PATH:+:$PATH}; export PATH

# Sections of what is printed: nobody else knows the nonce, so a banner or a rule's comment cannot end one.
begin() { printf '\n@@%s begin %s\n' "$NONCE" "$1"; }
end() { printf '\n@@%s end %s\n' "$NONCE" "$1"; }
section() { begin "$1"; shift; "$@" </dev/null; end "$?"; }
finished() { printf '\n@@%s done\n' "$NONCE"; exit 0; }
have() { command -v "$1" >/dev/null 2>&1; }

# A packet filter belongs to a network namespace, and so does everything we keep of it.
net=$(readlink /proc/self/ns/net 2>/dev/null | tr -dc 0-9)
run=/run
[ -d /run ] || run=/var/run
run=$run/portcullis/${net:-0}

# How whoever runs this is connected: as the transport says, or as its environment does, or that of the processes it comes
# from, as `sudo` keeps none.
connection() {
  connected=${1:-${SSH_CONNECTION:-}}
  process=$PPID
  while [ "$LOCAL" = yes ] && [ -z "$connected" ] && [ "${process:-0}" -gt 1 ] && [ -r "/proc/$process/environ" ]; do
    connected=$(tr '\000' '\n' <"/proc/$process/environ" 2>/dev/null | sed -n 's/^SSH_CONNECTION=//p' | head -n 1)
    process=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$process/status" 2>/dev/null)
  done
  printf '%s' "$connected"
}
