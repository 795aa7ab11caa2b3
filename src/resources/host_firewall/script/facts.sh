# Reads everything a plan needs of a host, in one go, and changes nothing. Listing with `iptables-legacy -S`, or with a
# plain `iptables` of that flavour, would make its tables; so nothing here runs either.

host() {
  printf 'uid=%s\n' "$(id -u)"
  printf 'clock=%s\n' "$(date +%s)"
  printf 'peer=%s\n' "$(connection "${1-}")"
  printf 'serial=%s\n' "$(cat "$run/serial" 2>/dev/null)"
}

legacy() {
  [ -n "$(cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null)" ] || return 0
  echo tables
  # The tables are there, so this makes none.
  have iptables-legacy-save && [ -n "$(cat /proc/net/ip_tables_names 2>/dev/null)" ] && iptables-legacy-save
  have ip6tables-legacy-save && [ -n "$(cat /proc/net/ip6_tables_names 2>/dev/null)" ] && ip6tables-legacy-save
  have iptables-legacy-save || echo unreadable
}

managers() {
  if [ -d /run/systemd/system ]; then
    systemctl is-active --quiet firewalld 2>/dev/null && echo firewalld
  elif [ -r /run/firewalld.pid ] && kill -0 "$(cat /run/firewalld.pid)" 2>/dev/null; then
    echo firewalld
  fi
  have ufw && grep -q '^ENABLED=yes' /etc/ufw/ufw.conf 2>/dev/null && echo ufw
  return 0
}

# With numbers, as words depend on the host's files. 77 says that this nft works, and was built without JSON.
ruleset() { nft -n -j list ruleset || { nft list tables >/dev/null 2>&1 && return 77; return 1; }; }

sets() {
  ipset list -n | while read -r name; do
    case $name in "$SETS"*) ipset save "$name" ;; esac
  done
}

# Changes that are not decided yet.
pending() {
  for tx in "$run"/*/; do
    [ -e "$tx/pending" ] || [ -e "$tx/rolling-back" ] || continue
    printf 'id=%s\n' "$(basename "$tx")"
    cat "$tx/about" 2>/dev/null
  done
}

boot() {
  for file in $(boot_files); do
    [ -e "$file" ] && sha256sum "$file"
  done
  nft_loader && echo nft-loads
  iptables_loader && echo iptables-loads
  return 0
}

main() {
  section host host "${1-}"
  # Whoever is not root is shown errors instead of rules.
  [ "$(id -u)" = 0 ] || finished
  have nft && section nft-version nft --version && section nft ruleset
  have iptables-nft && have ip6tables-nft && section iptables-version iptables-nft --version
  have iptables-nft-save && section save4 iptables-nft-save
  have ip6tables-nft-save && section save6 ip6tables-nft-save
  have ipset && section ipset-version ipset --version && section sets sets
  section legacy legacy
  section managers managers
  section pending pending
  section boot boot
  finished
}
main "$@" </dev/null
