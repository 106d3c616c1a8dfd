#!/usr/bin/env bash
# Makes the environment of a folder (peers/NAME, plots) in the cache folder: setup.sh FOLDER. Prints its place.
# Everything is pinned with hashes (requirements.lock, package-lock.json): the locks are whole, and hold no addresses.
set -euo pipefail
here=$(cd "$1" && pwd)
peer=$(basename "$here")
cache=${PENSTOCK_BENCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/penstock-bench}/$peer
stamp=$(cd "$here" && find . -name "*.lock" -o -name "package-lock.json" | sort | xargs cat | sha256sum | cut -c1-16)
if [ ! -f "$cache/ready-$stamp" ]; then
  rm -rf "$cache"
  mkdir -p "$cache"
  "${PYTHON:-python3}" -m venv "$cache/venv"
  "$cache/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
    -r "$here/requirements.lock" >&2
  if [ -f "$here/package-lock.json" ]; then
    command -v npm >/dev/null || { echo "$peer needs npm, for its server: install Node.js" >&2; exit 1; }
    cp "$here/package.json" "$here/package-lock.json" "$cache/"
    (cd "$cache" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >&2)
  fi
  touch "$cache/ready-$stamp"
fi
echo "$cache"
