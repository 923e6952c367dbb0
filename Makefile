# `make` alone lists what there is to do. Needs only Python 3.11 or newer; everything is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What the tests of the report ask about accessibility; where there is no npm they say so.
AXE := axe-core@4.14.1
NPM := $(shell command -v npm 2> /dev/null)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help run test check lint format docs clean

help: ## List these commands
	@sed -nE 's/^([a-z]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-8s %s\n", $$1, $$2 }'

run: $(VENV)/.run ## Run the suite "scaling" (a minute of timing) and print where its report is
	$(BIN)/attnbench run --suite scaling

test: $(VENV)/.test $(if $(NPM),build/axe/.$(AXE)) ## Run every test, several files at a time
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --benchmark-disable

check: lint test ## Everything a change must pass: lint, then test

lint: $(VENV)/.dev ## Formatting, lint, types and import rules, without the other tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/test_architecture.py

format: $(VENV)/.dev ## Rewrite the code the way the formatter and the import sorter want it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.run ## Write what docs/ can know from the code: commands, suites, layers
	$(BIN)/python docs/generate.py

clean: ## Remove .venv, caches and builds; results and reports stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp stands for one set of dependencies and is renewed when what it was made from changes. A larger set
# contains the smaller ones, so it renews their stamps too. Editable, so that a change of code installs nothing.
$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing attnbench into $(VENV); PyTorch is large, so the first time takes minutes"
	$(INSTALL) .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing attnbench and its tests into $(VENV); PyTorch is large, so the first time takes minutes"
	$(INSTALL) '.[test]'
	@touch $(VENV)/.run $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing attnbench, its tests and its linters into $(VENV); PyTorch is large, so the first time takes minutes"
	$(INSTALL) '.[dev]'
	@touch $(VENV)/.run $(VENV)/.test $@

# A package of one script that a page is given by the tests; its own install steps are not run.
build/axe/.$(AXE):
	$(NPM) install --prefix build/axe --no-save --ignore-scripts --no-audit --no-fund --silent $(AXE)
	@touch $@

# pip is the last thing that venv writes: where it is missing, the environment was never finished.
$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)
