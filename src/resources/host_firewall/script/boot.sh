# What a boot restores. STACK was set before; $tx, where it is used, is the folder of a change.

# The files of this stack, by dialect.
nft_file=/etc/nftables.d/portcullis-$STACK.nft
iptables_parts='ipset v4 v4-again v6 v6-again'
iptables_files() { for part in $iptables_parts; do echo "/etc/portcullis/$STACK.$part"; done; }
boot_files() { echo "$nft_file"; iptables_files; }

# The file that the system's own nftables service reads.
nft_conf() {
  for conf in /etc/nftables.conf /etc/sysconfig/nftables.conf /etc/nftables.nft; do
    [ -f "$conf" ] && { printf '%s' "$conf"; return 0; }
  done
  return 1
}

# Whether that file includes ours.
nft_included() {
  conf=$(nft_conf) || return 1
  grep -Eq "^[[:space:]]*include[[:space:]]+[\"'](/etc/)?nftables\.d/(\*|\*\.nft|portcullis-\*\.nft|portcullis-$STACK\.nft)[\"']" "$conf"
}

# Whether that service runs at boot. Without systemd nobody can tell, and the file counts.
nft_enabled() { [ ! -d /run/systemd/system ] || systemctl is-enabled --quiet nftables 2>/dev/null; }
nft_loader() { nft_included && nft_enabled; }

plugins=/usr/share/netfilter-persistent/plugins.d
unit=/etc/systemd/system/portcullis-firewall.service
iptables_loader() {
  [ -e /etc/portcullis/restore ] || return 1
  if have netfilter-persistent; then
    [ -x "$plugins/05-portcullis-sets" ] && [ -x "$plugins/50-portcullis" ]
  else
    [ -e "$unit" ] && systemctl is-enabled --quiet portcullis-firewall 2>/dev/null
  fi
}

# A file beside its place, hidden from whoever loads all files there: written, and on the disk.
stage() {
  cat >"$1.new" || return 1
  chmod 0640 "$1.new" && { sync "$1.new" 2>/dev/null || sync; }
}

# Puts everything in place beside what it will replace, so that nothing can fail later that can fail now.
boot_stage() {
  why=
  case $BOOT in
    none) ;;
    nftables)
      nft_conf >/dev/null || { why='no /etc/nftables.conf: nothing would load our rules at boot'; return 1; }
      mkdir -p -m 0755 /etc/nftables.d || { why='/etc/nftables.d cannot be made'; return 1; }
      file=/etc/nftables.d/.portcullis-$STACK.nft
      stage "$file" <"$tx/boot.nft" || { why="$file cannot be written"; return 1; }
      why=$(nft -c -f "$file.new" 2>&1) || { why="nft does not take what a boot would restore: $why"; return 1; }
      if ! nft_included; then
        conf=$(nft_conf)
        cp -p "$conf" "$conf.portcullis" || { why="$conf cannot be changed"; return 1; }
        printf '\ninclude "/etc/nftables.d/portcullis-*.nft" # portcullis: the rules of its stacks\n' >>"$conf.portcullis" ||
          { why="$conf cannot be changed"; return 1; }
      fi ;;
    iptables)
      have netfilter-persistent || [ -d /run/systemd/system ] ||
        { why='neither netfilter-persistent nor systemd is here: nothing would load our rules at boot'; return 1; }
      mkdir -p -m 0750 /etc/portcullis || { why='/etc/portcullis cannot be made'; return 1; }
      for part in $iptables_parts; do
        stage "/etc/portcullis/.$STACK.$part" <"$tx/boot.$part" || { why='/etc/portcullis cannot be written'; return 1; }
      done
      loader || { why="${why:-/etc/portcullis/restore cannot be written}"; return 1; } ;;
    remove) ;;
  esac
}

# What restores the files of every stack: sets before the rules that name them.
restorer() {
  cat <<'RESTORE'
#!/bin/sh
# Restores the rules of portcullis beside everyone else's. Written by portcullis.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
code=0
for file in /etc/portcullis/*."$1"; do
  [ -s "$file" ] || [ -s "$file-again" ] || continue
  case $1 in
    ipset) ipset -exist restore <"$file" ;;
    # On a host where our chain is called already it must not be called twice.
    v4) iptables-nft-restore -w 10 --noflush <"$file-again" 2>/dev/null || iptables-nft-restore -w 10 --noflush <"$file" ;;
    v6) ip6tables-nft-restore -w 10 --noflush <"$file-again" 2>/dev/null || ip6tables-nft-restore -w 10 --noflush <"$file" ;;
  esac || code=1
done
exit $code
RESTORE
}

# Sets come before everything, as rules that somebody saved may name them; rules after everybody's, who may flush.
loader() {
  restorer >/etc/portcullis/.restore.new && chmod 0750 /etc/portcullis/.restore.new &&
    mv -f /etc/portcullis/.restore.new /etc/portcullis/restore || return 1
  if have netfilter-persistent; then
    why="$plugins cannot be written"
    plugin 05-portcullis-sets ipset && plugin 50-portcullis v4 v6
  else
    why="$unit cannot be written"
    cat >"$unit.new" <<'UNIT' && mv -f "$unit.new" "$unit"
[Unit]
Description=Restore the firewall rules of portcullis
DefaultDependencies=no
After=local-fs.target systemd-modules-load.service iptables.service ip6tables.service nftables.service
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /etc/portcullis/restore ipset
ExecStart=/bin/sh /etc/portcullis/restore v4
ExecStart=/bin/sh /etc/portcullis/restore v6

[Install]
WantedBy=multi-user.target
UNIT
  fi
}

plugin() {
  name=$1; shift
  {
    printf '#!/bin/sh\n# Restores the rules of portcullis. Written by portcullis.\n'
    printf 'case "${1-}" in start | reload) ;; *) exit 0 ;; esac\ncode=0\n'
    for part; do printf '/bin/sh /etc/portcullis/restore %s || code=1\n' "$part"; done
    printf 'exit $code\n'
  } >"$plugins/.$name.new" && chmod 0755 "$plugins/.$name.new" && mv -f "$plugins/.$name.new" "$plugins/$name"
}

# Takes away what was put beside.
boot_unstage() {
  rm -f "/etc/nftables.d/.portcullis-$STACK.nft.new" "/etc/portcullis/.$STACK".*.new
  conf=$(nft_conf) && rm -f "$conf.portcullis"
  return 0
}

# Makes what was put beside what a boot restores, and takes away what is of the other dialect.
boot_settle() {
  case $BOOT in
    none) ;;
    nftables)
      mv -f "/etc/nftables.d/.portcullis-$STACK.nft.new" "$nft_file" || return 1
      conf=$(nft_conf) || return 1
      [ ! -e "$conf.portcullis" ] || mv -f "$conf.portcullis" "$conf" || return 1
      nft_enabled || systemctl enable --quiet nftables || return 1
      rm -f $(iptables_files) && boot_unloader ;;
    iptables)
      for part in $iptables_parts; do
        mv -f "/etc/portcullis/.$STACK.$part.new" "/etc/portcullis/$STACK.$part" || return 1
      done
      have netfilter-persistent || { systemctl daemon-reload && systemctl enable --quiet portcullis-firewall; } || return 1
      rm -f "$nft_file" ;;
    remove)
      rm -f $(boot_files) || return 1
      boot_unloader ;;
  esac
}

# What loads files goes with the last of them. Our line in nftables.conf may stay: it includes what is there.
boot_unloader() {
  for file in /etc/portcullis/*.v4; do [ -e "$file" ] && return 0; done
  [ -e /etc/portcullis/restore ] || return 0
  rm -f /etc/portcullis/restore "$plugins/05-portcullis-sets" "$plugins/50-portcullis"
  if [ -e "$unit" ]; then systemctl disable --quiet portcullis-firewall 2>/dev/null; rm -f "$unit"; fi
  rmdir /etc/portcullis 2>/dev/null
  return 0
}
