# The two commands: `make demo` and `make test`. `make check` is what a reviewer runs.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help setup setup-peers demo test check lint types floors clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

setup: .venv/.ready ## make .venv with the locked packages

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit(f"Python {v[0]}.{v[1]} given, 3.11 to 3.13 is needed (make PYTHON=python3.11 setup)")'
	@$(PYTHON) -c 'import ctypes, sys, os; ctypes.CDLL("libgomp.so.1") if sys.platform == "linux" else None' 2>/dev/null || { echo "libgomp (the OpenMP runtime) is missing; lightgbm needs it: install libgomp1 with the system's package manager" >&2; exit 1; }
	@echo "Setting up .venv (the first time takes a minute or two)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock || { echo "the packages of requirements.lock could not be installed on this Python and platform; Linux and macOS with Python 3.11 to 3.13 are supported" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.ready-dev: .venv/.ready requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@touch $@

setup-peers: .venv-peers/.ready ## make .venv-peers with the libraries that benchmarks compare against; Attune runs without

.venv-peers/.ready: requirements-peers.lock
	@$(PYTHON) -c 'import sys; sys.version_info[:2] == (3, 11) or sys.exit("Python %d.%d given, the peers are locked on 3.11 (make PYTHON=python3.11 setup-peers)" % sys.version_info[:2])'
	@echo "Setting up .venv-peers (the first time takes a few minutes)"
	@$(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-peers.lock
	@touch $@

demo: .venv/.ready ## run the whole main job on a simulated shop; SERVE=1 leaves the service running
	@$(BIN)/python examples/demo.py $(if $(SERVE),--serve)

test: .venv/.ready-dev ## run the tests
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --durations=15

check: lint types floors test ## what a reviewer runs: lint, types, floors, tests with the documentation and the notebooks

lint: .venv/.ready-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q . || { echo "run: .venv/bin/ruff format ." >&2; exit 1; }

types: .venv/.ready-dev
	@$(BIN)/mypy

floors: .venv/.ready-dev
	@$(BIN)/lint-imports | tail -n 6

clean: ## remove the environments and the demo's files
	rm -rf .venv .venv-peers demo
