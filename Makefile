# Every target sets up what it needs in .venv. `make help` lists them.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PROMPT ?=
MODEL ?=
ARGS ?=
export PROMPT MODEL

.DEFAULT_GOAL := help
.PHONY: help demo gallery test live-gemini faults bench bench-peers serve lint format docs lock clean

help: ## Show these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/runtime ## One task through the whole API; the picture lands in demo/. PROMPT="…" MODEL=… change it
	@$(BIN)/python scripts/demo.py

gallery: .venv/runtime ## Draw the sixty pictures of docs/gallery.md anew. ARGS="--full DIR" keeps each at full size
	@$(BIN)/python scripts/gallery.py $(ARGS)

serve: .venv/runtime ## Run the server on http://127.0.0.1:8787, data in ./cavendish-data
	@$(BIN)/cavendish serve

test: .venv/dev ## The whole suite, on a real PostgreSQL that it brings along
	@$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

live-gemini: .venv/runtime ## One picture and one edit by Google itself, if a key is in the environment; costs cents
	@$(BIN)/python scripts/live_gemini.py

faults: .venv/dev ## Break it on purpose, for longer
	@CAVENDISH_FAULTS_ROUNDS=6 $(BIN)/python -m pytest --timeout 1800 -o faulthandler_timeout=1900 tests/faults

bench: .venv/dev ## Measure; a table, and JSON in bench-results/. ARGS="--rows 0 --seconds 5" for less
	@$(BIN)/python bench/run.py $(ARGS)

bench-peers: .venv/dev ## The same creates against the stacks that one would otherwise assemble; needs redis-server
	@$(MAKE) --silent .venv-peers/ready || echo "The peers could not be installed from bench/peers-requirements.txt"
	@$(BIN)/python bench/peers.py $(ARGS)

lint: .venv/dev ## ruff, mypy, import-linter
	@$(BIN)/ruff format --check src tests scripts bench
	@$(BIN)/ruff check src tests scripts bench
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: .venv/dev ## Lay out the code
	@$(BIN)/ruff format src tests scripts bench
	@$(BIN)/ruff check --fix src tests scripts bench

docs: .venv-docs/ready ## The documentation site, in site/; links are checked
	@.venv-docs/bin/python scripts/docs.py

lock: .venv/bin/python ## Choose dependency versions anew
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--python-version 3.11 --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--python-version 3.11 --constraint requirements.lock --group dev --output-file requirements-dev.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--python-version 3.11 --group docs --output-file requirements-docs.lock

clean: ## Remove what these targets made, but never data
	rm -rf .venv .venv-peers .venv-docs build site demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Cavendish needs Python 3.11 or newer; none was found on PATH" >&2; exit 1; }
	@echo "Making .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv

.venv/runtime: .venv/bin/python requirements.lock pyproject.toml
	@echo "Installing (once; this downloads about 100 MB)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/dev: .venv/runtime requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

.venv-docs/ready: .venv/bin/python requirements-docs.lock
	@echo "Installing what builds the site into .venv-docs (once; this downloads about 20 MB)"
	@$(BIN)/python -m venv --clear .venv-docs
	@.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-docs.lock
	@touch $@

.venv-peers/ready: .venv/bin/python bench/peers-requirements.txt
	@echo "Installing the peers into .venv-peers (once; this downloads about 50 MB)"
	@$(BIN)/python -m venv --clear .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r bench/peers-requirements.txt
	@touch $@
