#!/bin/sh
# Installs what the tests need beside cargo: moto's server, pinned, in .venv under the crate's root.
# Running it again does nothing. The package index is pip's own setting.
set -eu
cd "$(dirname "$0")/.."

version=5.2.1
if [ -x .venv/bin/moto_server ] && .venv/bin/python -c "import sys, moto; sys.exit(moto.__version__ != '$version')"; then
    exit 0
fi
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check "moto[server]==$version"
.venv/bin/moto_server --help >/dev/null
