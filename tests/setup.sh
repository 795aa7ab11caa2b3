#!/bin/sh
# Installs what the tests need beside cargo: the programs that the kernel tests run, from Debian's packages, as root or
# through sudo; and moto's server, pinned, in .venv under the crate's root. Running it again does nothing. The package
# index of Python is pip's own setting.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

fail() { printf '%s\n' "tests/setup.sh: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Program and package. What is there is not installed again, wherever it came from.
programs='nft:nftables iptables-nft:iptables ip6tables-nft:iptables iptables-legacy-save:iptables ipset:ipset
conntrack:conntrack ip:iproute2 ps:procps unshare:util-linux nsenter:util-linux setsid:util-linux flock:util-linux
ssh:openssh-client ssh-keygen:openssh-client sshd:openssh-server sudo:sudo fish:fish busybox:busybox
netfilter-persistent:netfilter-persistent python3:python3 jq:jq unzip:unzip git:git'
missing=
for pair in $programs; do
    have "${pair%%:*}" || missing="$missing ${pair#*:}"
done
[ -e /usr/share/netfilter-persistent/plugins.d/15-ip4tables ] || missing="$missing iptables-persistent"
{ have python3 && python3 -c 'import ensurepip' 2>/dev/null; } || missing="$missing python3-venv"
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')

install_packages() {
    have apt-get || fail "these packages are missing, and apt-get is not here to install them: $missing"
    sudo=
    if [ "$(id -u)" != 0 ]; then
        { have sudo && sudo -n true 2>/dev/null; } ||
            fail "these packages are missing, and only root may install them: $missing"
        sudo='sudo -n'
    fi
    # This machine's own packet filter is none of our business: nothing that is installed here may start, now or at a boot,
    # nor save the rules that stand.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap '$sudo rm -f "$policy"' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
        $sudo chmod 0755 "$policy"
    fi
    if have debconf-set-selections; then
        printf 'iptables-persistent iptables-persistent/autosave_v%s boolean false\n' 4 6 |
            $sudo debconf-set-selections
    fi
    apt="$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120"
    # Lists that are absent or old name packages that are gone.
    # shellcheck disable=SC2086
    $apt install --no-install-recommends $missing >/dev/null 2>&1 || {
        $apt update >/dev/null
        $apt install --no-install-recommends $missing >/dev/null
    } || fail "these packages could not be installed: $missing"
    if [ -d /run/systemd/system ]; then
        for pair in ssh:openssh-server netfilter-persistent:netfilter-persistent; do
            case " $missing" in *" ${pair#*:} "*) $sudo systemctl disable --quiet "${pair%%:*}" ;; esac
        done
    fi
    for pair in $programs; do
        have "${pair%%:*}" || fail "\`${pair%%:*}\` is missing though ${pair#*:} is installed"
    done
}

[ -z "$missing" ] || install_packages

version=5.2.1
if [ -x .venv/bin/moto_server ] && .venv/bin/python -c "import sys, moto; sys.exit(moto.__version__ != '$version')"; then
    exit 0
fi
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check "moto[server]==$version"
.venv/bin/moto_server --help >/dev/null
