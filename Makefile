# One door. `make run` and `make test` need Python 3.11 and make, and make the rest themselves.

PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
CODE := engine adapters tests benchmarks examples

# Compiled modules are kept: else each service that a test starts would compile the engine again.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help run demo test test-all check format bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

run: .venv/run.stamp ## make the environment and run the service
	$(BIN)/tocsin serve

demo: .venv/run.stamp ## see one publish reach a few hundred subscribers
	$(BIN)/tocsin demo

test: .venv/dev.stamp ## make the environment and run the tests
	$(BIN)/python -m pytest -m "not slow" -n 3 --dist loadfile --no-loadscope-reorder

test-all: .venv/dev.stamp ## the long tests too
	$(BIN)/python -m pytest

check: .venv/dev.stamp ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(CODE)

format: .venv/dev.stamp ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev.stamp ## run the benchmarks into benchmarks/results
	$(BIN)/python -m benchmarks

clean: ## remove the environment and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

# One environment; running the service installs no development tools, testing adds them.
.venv/run.stamp: pyproject.toml constraints.txt .ci/environment.py
	@$(if $(PYTHON),,echo "Tocsin needs Python 3.11 or newer. On Debian: apt-get install python3" >&2; exit 2;) \
	$(PYTHON) .ci/environment.py
	@touch $@

.venv/dev.stamp: .venv/run.stamp
	@$(PYTHON) .ci/environment.py --dev
	@touch $@
