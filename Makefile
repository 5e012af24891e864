# Everything needs nothing but python3 (3.11 or newer) with venv and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-cluster test-others coverage check bench clean

demo: $(VENV)/.demo
	$(BIN)/headstart demo

test: $(VENV)/.dev
	$(MAKE) --jobs 2 --keep-going test-cluster test-others # A cluster waits most of the time.

test-cluster: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/cluster

test-others: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist worksteal --ignore tests/cluster

coverage: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --cov --cov-report term-missing:skip-covered

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	for name in solar tutorial extract kills; do $(BIN)/python -m benchmarks.$$name || exit 1; done

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage .coverage.*

$(VENV)/.demo: pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[demo]"
	touch $@

$(VENV)/.dev: pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[demo,lite,dev]"
	touch $@ $(VENV)/.demo
