#!/usr/bin/env bash
# Makes $VENV with the pinned packages, and installs penstock into it. Needs Python >= 3.11 and the package registry.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} venv=${VENV:-.venv}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "penstock needs Python 3.11 or newer; $("$python" --version) was found. Set PYTHON=/path/to/python3.11." >&2
  exit 1
}
if [ ! -x "$venv/bin/python" ]; then
  if ! "$python" -m venv "$venv" >/dev/null 2>&1; then
    rm -rf "$venv"
    echo "this Python has no venv module; installing Debian's python3-venv" >&2
    { apt-get install -y -qq python3-venv || { apt-get update -qq && apt-get install -y -qq python3-venv; }; } >/dev/null || {
      echo "could not: run 'sudo apt-get install python3-venv' and try again" >&2
      exit 1
    }
    "$python" -m venv "$venv"
  fi
fi
if ! "$venv/bin/uv" --version 2>/dev/null | grep -q "$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' scripts/uv.lock)"; then
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r scripts/uv.lock
fi
export VIRTUAL_ENV="$PWD/$venv"
"$venv/bin/uv" pip install --quiet --no-deps --require-hashes -r requirements.lock
"$venv/bin/uv" pip install --quiet --no-deps --no-build-isolation -e .
echo "ready: $venv ($("$venv/bin/python" --version))"
