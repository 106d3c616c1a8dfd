# Every job of this repository. `make help` lists them; each one sets up what it needs first.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
ARGS ?=
STAMP := $(VENV)/.ready

.PHONY: help setup demo test check bench bench-vectors bench-pipelines quality chaos conformance takeover docs flink stacks format lock soak clean

help: ## list the jobs
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv with everything pinned, and install penstock into it

$(STAMP): requirements.lock scripts/uv.lock pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" bash scripts/setup.sh
	@touch $@

demo: $(STAMP) ## the main job: a team of agents answers questions over documents (ARGS=--crash, ARGS=--help)
	@$(BIN)/penstock demo $(ARGS)

test: $(STAMP) ## all tests
	@$(BIN)/python tests/services/weaviate/build_weaviate.py
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

soak: $(STAMP) ## the simulation over fresh seeds for hours (ARGS=--help); a failing seed is printed
	@$(BIN)/python scripts/soak.py $(ARGS)

check: $(STAMP) ## format, lint, types, layers; every test can be imported
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/pyright
	@said=$$($(BIN)/python -m pytest --collect-only -q -n 0 2>&1) && tail -n 1 <<< "$$said" || { tail -n 60 <<< "$$said"; exit 1; }

format: $(STAMP) ## put the code into shape
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(STAMP) ## the workloads beside durable peers, in one run (ARGS=--help): docs/benchmarks.md
	@$(BIN)/python benchmarks/run.py $(ARGS)

bench-vectors: $(STAMP) ## the embedded index beside other engines, 10k to 1M vectors, 28 minutes (ARGS=--quick, ARGS=--help): docs/benchmarks-vectors.md
	@$(BIN)/python benchmarks/vectors.py $(ARGS)

bench-pipelines: $(STAMP) ## three hops over NATS, Kafka and Redis beside FastStream and raw clients, 12 minutes (ARGS=--quick, ARGS=--help): docs/benchmarks-pipelines.md
	@$(BIN)/python benchmarks/pipelines.py $(ARGS)

quality: $(STAMP) ## how well knowledge is found, on all judged collections that are here (ARGS=--help): docs/knowledge-quality.md
	@$(BIN)/python benchmarks/quality.py $(ARGS)

chaos: $(STAMP) ## kill processes at every write point; servers, networks, disks and clocks fail (ARGS=--help): docs/chaos.md
	@$(BIN)/python scripts/chaos.py $(ARGS)

conformance: $(STAMP) ## the guarantees on every tier, with real servers and real crashes (ARGS=--help): docs/conformance.md
	@$(BIN)/python scripts/conformance.py $(ARGS)

takeover: $(STAMP) ## kill one of two workers that share a store, and print the seconds until the other does its work (ARGS=--help)
	@$(BIN)/python scripts/takeover.py $(ARGS)

flink: $(STAMP) ## agents and streams as real jobs on Flink, between topics of a real Kafka: killed and restored (installs 0.8 GB once)
	@PENSTOCK_FLINK=1 $(BIN)/python -m pytest -q -n 0 -s tests/flink/test_flink_job.py tests/flink/test_streams_job.py tests/flink/test_secured_job.py $(ARGS)

stacks: $(STAMP) ## stream enrichment on its own stack, Kafka, Flink, Milvus, Ray and Redis, with kills (installs 1.3 GB once; needs root)
	@PENSTOCK_STACKS=1 $(BIN)/python -m pytest -q -n 0 examples/stream_enrichment -k "stack or ray or command" $(ARGS)

docs: $(STAMP) ## check the documents: links, names, code blocks
	@$(BIN)/python -m pytest -q tests/docs $(ARGS)

lock: ## pin the newest versions that are at least a week old (run it by hand, then commit)
	@PYTHON="$(PYTHON)" VENV="$(VENV)" bash scripts/lock.sh

clean: ## remove what can be made again
	@rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis dist site
