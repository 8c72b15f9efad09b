# `make dev` runs Remora on this machine; `make test` runs every test. Each target sets itself up.
# Needs Python 3.11 or later and make.

PYTHON ?= python3
VENV := .venv
SAM_VENV := .venv-sam
CHECKOV_VENV := .venv-checkov
BIN := $(VENV)/bin
SAM := $(SAM_VENV)/bin/sam
CHECKOV := $(CHECKOV_VENV)/bin/checkov
MODEL := .build/embedding-model
TEST_TOOLS := .tools/node

# The layers' builds run inside `sam build`, in a copy of their folder, with this interpreter.
export REMORA_PYTHON := $(CURDIR)/$(BIN)/python
export SAM_CLI_TELEMETRY := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start hundreds of processes. Each would compile what it imports, where this is set.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup dev test test-sam lint format build bench bench-recall lock machine model clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 20

setup: $(VENV)/.installed $(SAM_VENV)/.installed $(TEST_TOOLS)/.installed model ## Install what the tests need; other targets install what else they need

dev: $(VENV)/.installed model ## Run Remora on this machine (ARGS="--port N --data DIR --log-level L")
	@exec $(BIN)/remora dev $(ARGS)

test: $(VENV)/.installed $(SAM_VENV)/.installed $(TEST_TOOLS)/.installed model ## Run every test (ARGS="-k name" for some)
	$(BIN)/python -m pytest --numprocesses 3 --dist worksteal $(ARGS)

test-sam: $(VENV)/.installed $(SAM_VENV)/.installed ## Invoke every event in containers (as root; needs docker.io and debootstrap)
	REMORA_TEST_SAM=1 $(BIN)/python -m pytest tests/sam_local $(ARGS)

lint: $(VENV)/.installed $(SAM_VENV)/.installed $(CHECKOV_VENV)/.installed ## Check style, types and the templates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy layers/remora/remora functions/connector functions/authorizer functions/oauth functions/ingest functions/upkeep functions/watch layers/dependencies layers/embedding-model scripts tests benchmarks
	$(BIN)/cfn-lint template.yaml stacks/*.yaml
	$(SAM) validate --lint
	$(CHECKOV) --framework cloudformation --skip-download --quiet --compact $(foreach file,template.yaml $(wildcard stacks/*.yaml),--file $(file))

format: $(VENV)/.installed ## Put the code into its usual form
	$(BIN)/python scripts/chroma/embed.py
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

build: $(VENV)/.installed $(SAM_VENV)/.installed ## Build what `sam deploy` uploads, for the template's runtime and architecture
	$(SAM) build $(ARGS)

bench: $(VENV)/.installed model ## Measure speed on this machine
	$(BIN)/python -m benchmarks $(ARGS)

bench-recall: $(VENV)/.installed model ## Measure how well the memory finds evidence (DATA=file in LoCoMo's format)
	$(BIN)/python -m benchmarks.recall $(or $(DATA),$(error DATA names a JSON file in the format of LoCoMo))

lock: $(VENV)/.installed ## Renew the locks from the .in files, at the latest versions
	$(BIN)/uv pip compile $(LOCK) layers/dependencies/requirements.in -o layers/dependencies/requirements.txt
	$(BIN)/uv pip compile $(LOCK) requirements/dev.in -o requirements/dev.txt
	$(BIN)/uv pip compile $(LOCK) requirements/sam.in -o requirements/sam.txt
	$(BIN)/uv pip compile $(LOCK) requirements/checkov.in -o requirements/checkov.txt
LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

machine: ## Build what the tests of the Chroma server's machine start (root, debootstrap, a few minutes)
	bash tests/machine/image.sh .build/chroma-machine

clean: ## Remove what the other targets made (your data in .remora/ stays)
	rm -rf $(VENV) $(SAM_VENV) $(CHECKOV_VENV) .build .aws-sam .tools

model: $(VENV)/.installed
	@$(BIN)/python layers/embedding-model/build.py $(MODEL)

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@echo "Installing into $(VENV) (once, a minute or two)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Remora needs Python 3.11 or later: make PYTHON=python3.13 ...")'
	@$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(SAM_VENV)/.installed: requirements/sam.txt
	@echo "Installing the SAM command line into $(SAM_VENV) (once, a minute)"
	@$(PYTHON) -m venv $(SAM_VENV)
	$(SAM_VENV)/bin/python -m pip install --quiet --no-compile --no-deps --require-hashes --requirement requirements/sam.txt
	@touch $@

$(CHECKOV_VENV)/.installed: requirements/checkov.txt
	@echo "Installing checkov into $(CHECKOV_VENV) (once, a minute or two)"
	@$(PYTHON) -m venv $(CHECKOV_VENV)
	$(CHECKOV_VENV)/bin/python -m pip install --quiet --no-compile --no-deps --require-hashes --requirement requirements/checkov.txt
	@touch $@

# The MCP conformance suite and the Inspector run on Node, axe in a browser; the tests that need them say so when they
# are not there.
$(TEST_TOOLS)/.installed: tests/conformance/package.json tests/conformance/package-lock.json
	@echo "Installing the MCP conformance suite, the Inspector and axe into $(TEST_TOOLS)"
	@mkdir -p $(TEST_TOOLS)
	@cp tests/conformance/package.json tests/conformance/package-lock.json $(TEST_TOOLS)/
	cd $(TEST_TOOLS) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@
