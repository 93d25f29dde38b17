# Needs Python 3.11 to 3.13 and make. `make up` runs the service, `make test` tests it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: up demo test clients test-browser screenshots test-compose fuzz crowd faults soak failover bench bench-full lint spec lock audit licences image clean

up: $(VENV)/.up
	@$(BIN)/reservation up

demo: $(VENV)/.up
	@$(BIN)/reservation demo $(if $(SCENARIO),--scenario $(SCENARIO))

test: $(VENV)/.dev
	$(BIN)/python -m pytest

# Clients that are generated from spec/, for Python and TypeScript: they compile, and sell a seat.
clients: $(VENV)/.generators
	@tests/clients/packages
	npm ci --prefix tests/clients/typescript --ignore-scripts --no-audit --no-fund --silent
	$(BIN)/python -m pytest tests/clients

# The pages in a real browser. `make screenshots` takes the README's pictures.
test-browser: $(VENV)/.browser
	@tests/browser/packages
	$(BIN)/python -m pytest tests/browser

screenshots: $(VENV)/.browser
	@tests/browser/packages
	$(BIN)/python -m tests.browser.screenshots

# All of docker-compose.yml on the engine that DOCKER_HOST names: killed, restarted and replaced while seats are sold.
test-compose: $(VENV)/.dev
	$(BIN)/python -m tests.compose

# What schemathesis makes of the OpenAPI document, CASES of each operation, four times over.
fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz $(if $(CASES),--cases $(CASES)) $(if $(SEED),--seed $(SEED))

# 10,000 PEOPLE in a waiting room, who are let in at RATE a minute.
crowd: $(VENV)/.dev
	$(BIN)/python -m tests.crowd $(if $(PEOPLE),--people $(PEOPLE)) $(if $(RATE),--rate $(RATE))

# Every fault by itself against every promise; and faults at random, for SECONDS, from SEED.
faults: $(VENV)/.dev
	$(BIN)/python -m tests.faults table

soak: $(VENV)/.dev
	$(BIN)/python -m tests.faults soak $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

# A cluster of three primaries with a replica each loses one of them while seats are sold.
failover: $(VENV)/.dev
	$(BIN)/python -m tests.faults failover $(if $(SECONDS),--seconds $(SECONDS))

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

# The versions and hashes of everything that is installed, after a change of setup.cfg; UPGRADE=1 takes the newest.
lock: $(VENV)/.dev
	UV=$(BIN)/uv requirements/lock $(if $(UPGRADE),--upgrade)

audit: $(VENV)/.dev
	$(BIN)/python requirements/audit.py

licences: $(VENV)/.bench $(VENV)/.browser $(VENV)/.generators
	$(BIN)/python requirements/licences.py

image:
	docker build -t seat-reservation .

clean:
	rm -rf $(VENV) build dist *.egg-info clients/python/build clients/python/*.egg-info var logs

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 up")'
	@echo "installing into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

# Installed anew when the locks change: those packages and no others, each by its hash, then the service itself.
define install
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$(1).txt
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
endef

$(VENV)/.up: requirements/up.txt setup.cfg pyproject.toml | $(BIN)/python
	$(call install,up)

$(VENV)/.bench: requirements/bench.txt $(VENV)/.dev
	$(call install,bench)

$(VENV)/.browser: requirements/browser.txt $(VENV)/.dev
	$(call install,browser)

$(VENV)/.generators: requirements/generators.txt $(VENV)/.dev
	$(call install,generators)

$(VENV)/.dev: requirements/dev.txt setup.cfg pyproject.toml | $(BIN)/python
	$(call install,dev)
