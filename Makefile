# Samband. `make help` lists what there is.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
STACK := $(RUN) -m deploy.local.stack run --kind test --
PYTEST := $(RUN) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder
PROVEN := .local/proven.json
PIN := $(VENV)/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help setup demo up test faults mutants bench check containers docs format lint rules lock sbom

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: $(INSTALLED) ## Install what Samband needs into .venv

$(INSTALLED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or later is needed; name one with PYTHON=python3.11 (Debian: apt-get install python3, macOS: brew install python)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "error: this Python cannot make environments (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@echo "setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

demo: setup ## Play a day in the platform's life on real parts
	@$(RUN) -m deploy.local.demo

up: setup ## Keep the platform running, with a page for the caught e-mails
	@$(RUN) -m deploy.local.up

test: setup ## Pass all tests, on real PostgreSQL and Kafka
	@$(STACK) $(PYTEST)

faults: setup ## Break everything while it works and count the damage: SEED=7, SEEDS=20, BROKERS=3
	@$(if $(SEED)$(BROKERS),,SAMBAND_TEST_FULL=1 $(STACK) $(RUN) -m pytest -q tests/faults/test_interleavings.py tests/faults/test_replicas.py tests/chassis/test_scope.py)
	@$(RUN) -m tests.faults $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(BROKERS),--brokers $(BROKERS))

mutants: setup ## Switch each safety piece off, one at a time: every one must be noticed
	@$(RUN) -m tests.mutants

containers: setup ## Build the image, play the journey from it, and the local stack in containers: WITHOUT_REGISTRY=bookworm
	@$(RUN) -m deploy.containers $(if $(WITHOUT_REGISTRY),--without-registry $(WITHOUT_REGISTRY))
	@$(STACK) $(RUN) -m pytest -q tests/containers

lint: setup ## Check format, lint, the rules of the house, types, import walls and dependencies; change nothing
	$(VENV)/bin/ruff format --check --quiet .
	$(VENV)/bin/ruff check --quiet .
	$(VENV)/bin/bandit --quiet --recursive --configfile pyproject.toml bench chassis contracts deploy services
	$(RUN) -m deploy.lint
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/deptry chassis contracts services
	$(VENV)/bin/deptry . --ignore DEP004
	@$(RUN) -m deploy.documents check
	@$(RUN) -m deploy.dependencies check

check: lint test ## lint and test

docs: setup ## Write the messages' schemas and page, AsyncAPI and OpenAPI documents
	@$(RUN) -m deploy.documents write

bench: setup ## Measure throughput, delay, CPU and memory, about 12 minutes: BENCH="--quick"
	@$(RUN) -m bench $(BENCH)

rules: setup ## Prove the rules: print which ones the marked tests that passed prove
	@mkdir -p $(dir $(PROVEN))
	@$(STACK) $(PYTEST) -m "rule or goal" --proven=$(PROVEN); status=$$?; $(RUN) -m tests.proven $(PROVEN) && exit $$status

format: setup ## Format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

lock: setup ## Pin what pyproject.toml asks for, with hashes; what is pinned stays as it is: UPGRADE=1
	$(PIN) --group dev $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	cp requirements.lock deploy/requirements.lock
	$(PIN) --output-file deploy/requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(RUN) -m deploy.dependencies write

sbom: setup ## Write what the image and the tools are made of, with licences and hashes, to .local/sbom.json (CycloneDX)
	@mkdir -p .local
	@$(RUN) -m deploy.dependencies sbom --output .local/sbom.json && echo .local/sbom.json
