# What people and CI call. Everything is set up from the locked requirements on first use; nothing else is needed
# than Python >= 3.11 with venv, and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Tests wait for servers half of the time.
WORKERS := $(shell echo $$(( 2 * $$(getconf _NPROCESSORS_ONLN) )))

.PHONY: help setup demo up test test-slow faults sandbox bench lint format lock clean

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

setup: $(READY)  ## virtual environment with the locked dependencies

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Tootsoo needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Say: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@echo "Setting up $(VENV) (once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)   ## settle real payments at the simulator, with real processes
	@$(BIN)/tootsoo demo

up: $(READY)     ## keep everything running for a developer, until Ctrl-C
	@$(BIN)/tootsoo up

test: lint       ## everything CI checks in five minutes
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not slow and not sandbox"

test-slow: $(READY) ## what needs longer
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal -m slow

sandbox: $(READY) ## QPay's real sandbox, for whoever has QPAY_* credentials; says why when it skips
	@$(BIN)/pytest tests/sandbox -m sandbox -q

faults: $(READY) ## faults that must be survived, on real processes; SEED=7 or 1..20, ONLY=4,5, JOBS=2
	@$(BIN)/python -P -m tests.faults $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) \
	  $(if $(JOBS),--jobs $(JOBS)) $(FAULTS)

bench: $(READY)  ## how fast, against bare SQL and two peers; takes some twenty minutes
	@$(BIN)/python -P -m tests.bench $(BENCH)

lint: $(READY)   ## format, ruff, mypy and the import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## rewrite in the house's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: $(READY)   ## renew both lock files from pyproject.toml
	@$(BIN)/uv pip compile --quiet --generate-hashes --universal --no-header --no-annotate --python-version 3.11 \
	  $(UPGRADE) pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --generate-hashes --universal --no-header --no-annotate --python-version 3.11 \
	  $(UPGRADE) -c requirements.lock --extra embedded --group dev --group bench pyproject.toml -o requirements-dev.lock

clean:           ## forget the virtual environment and the embedded servers' data
	rm -rf $(VENV) .tootsoo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
