# Every target does its own set-up. A machine needs Python 3.11 with venv, make and git; the tests also need Chromium,
# libatomic1 and curl. On Debian as root, what is missing is installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST ?= $(BIN)/pytest
# Every file that is installed has the hash that requirements/ names.
INSTALL := install --quiet --disable-pip-version-check --require-hashes
# For every platform and every Python from 3.11 on, whichever this one is.
LOCK = $(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command 'make lock' --constraint constraints.txt
# PostgreSQL refuses to run as root: the tests make a user for it, with useradd.
export PATH := $(PATH):/usr/sbin
# Four processes load every test: a second run takes them compiled from the first.
unexport PYTHONDONTWRITEBYTECODE

# Debian's packages $(1), installed as root; anyone else is told the command.
apt = { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "Installing $(1) (once) ..." && apt-get update -qq \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(1) >/dev/null; } \
	|| { echo "Missing here: $(1). On Debian: sudo apt-get install $(1)"; false; }

.DEFAULT_GOAL := help
.PHONY: help docs demo run test test-long coverage audit lock sbom release screenshots bench soak check migration format clean

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/run.stamp: setup.cfg requirements/build.txt requirements/run.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		{ $(PYTHON) -c 'import ensurepip' 2>/dev/null || $(call apt,python3-venv); } \
		&& rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); }
	@echo "Installing what the service needs (once) ..."
	@$(BIN)/pip $(INSTALL) --requirement requirements/build.txt --requirement requirements/run.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp requirements/test.txt requirements/dev.txt
	@echo "Installing what the tests need (once) ..."
	@$(BIN)/pip $(INSTALL) --requirement requirements/test.txt --requirement requirements/dev.txt
	@touch $@

demo: $(VENV)/run.stamp ## The whole product against a Zuora tenant on this machine (KEEP=1 leaves it running)
	@$(BIN)/sync-service demo $(if $(KEEP),--keep)

run: $(VENV)/run.stamp ## Start web, worker and scheduler with the embedded database
	@$(BIN)/sync-service run

test: $(VENV)/test.stamp ## Run every test, four at a time (most wait much) (ARGS=tests/unit runs a part)
	@{ command -v chromium && command -v curl && $(BIN)/python -m playwright --version; } >/dev/null 2>&1 \
		|| $(call apt,chromium libatomic1 curl) || echo "THE ADMIN PAGES WILL NOT BE TRIED IN A BROWSER"
	$(PYTEST) $(if $(ARGS),$(ARGS),-n 4 -m "not long" --durations 15)

# Zuora's own client pins old versions of what we use: it has an environment of its own.
$(VENV)/zuora-sdk/stamp: $(VENV)/test.stamp tests/outside/requirements.txt
	@echo "Installing Zuora's own client (once) ..."
	@$(PYTHON) -m venv $(VENV)/zuora-sdk
	@$(VENV)/zuora-sdk/bin/pip install --quiet --disable-pip-version-check --requirement tests/outside/requirements.txt
	@touch $@

test-long: $(VENV)/test.stamp $(VENV)/zuora-sdk/stamp ## What make test leaves out: many and new examples for each property, the other database (an hour)
	$(PYTEST) -n 2 -m "hypothesis or long" --hypothesis-profile long --timeout 3600

coverage: $(VENV)/test.stamp ## Run the tests of make test and measure how much of the code they run
	$(PYTEST) -n 4 -m "not long" --cov --cov-report=term:skip-covered

audit: $(VENV)/test.stamp ## Look for known weaknesses in what constraints.txt names; says so where no source can be asked
	@$(BIN)/python -m tests.audit

lock: ## Write requirements/ anew from setup.cfg and constraints.txt: exact versions with the hashes of their files
	@test -x $(VENV)/lock/bin/uv || { $(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install --quiet --disable-pip-version-check uv; }
	@printf 'build\nsetuptools\n' | $(LOCK) --output-file requirements/build.txt -
	@$(LOCK) --extra postgres --extra traces --output-file requirements/run.txt setup.cfg
	@$(LOCK) --extra postgres --extra traces --extra test --output-file requirements/test.txt setup.cfg
	@$(LOCK) --extra dev --output-file requirements/dev.txt setup.cfg

sbom: $(VENV)/run.stamp ## Write dist/sbom.json: each package that the service brings, with its version and licence (CycloneDX)
	@test -x $(VENV)/sbom/bin/cyclonedx-py || { $(PYTHON) -m venv $(VENV)/sbom && $(VENV)/sbom/bin/pip install --quiet --disable-pip-version-check cyclonedx-bom; }
	@rm -rf $(VENV)/released && $(PYTHON) -m venv --without-pip $(VENV)/released
	@$(BIN)/pip --python $(VENV)/released/bin/python $(INSTALL) --requirement requirements/run.txt
	@mkdir -p dist && $(VENV)/sbom/bin/cyclonedx-py environment --output-reproducible --output-file dist/sbom.json $(VENV)/released/bin/python
	@echo "Written: dist/sbom.json"

release: $(VENV)/test.stamp ## Build wheel and sdist into dist/, install each and run it in an empty folder
	$(BIN)/python -m tests.release

screenshots: $(VENV)/test.stamp ## Take the pictures of the documentation anew, in a real browser
	SCREENSHOTS=docs/screenshots $(PYTEST) tests/browser/test_pictures.py tests/browser/test_stream_pages.py

bench: $(VENV)/test.stamp ## Measure the service and write docs/benchmarks.md (QUICK=1 for a look, ONLY=part; SUBSCRIPTIONS= for pages-large)
	@QUICK="$(QUICK)" ONLY="$(ONLY)" SUBSCRIPTIONS="$(SUBSCRIPTIONS)" $(BIN)/python -m tests.bench

soak: $(VENV)/test.stamp ## Kill, overtake and take away for an hour; write docs/reliability.md (SEED=, ONLY=part, KILLS=, MINUTES=)
	@SEED="$(or $(SEED),1)" ONLY="$(ONLY)" $(BIN)/python -m tests.soak

docs: $(VENV)/test.stamp ## Write docs/reference from the code, and the documentation as a site into build/site
	@$(BIN)/python -m tests.reference_pages
	$(BIN)/mkdocs build --strict

check: $(VENV)/test.stamp ## Format, lint, spelling, types, import contracts, module sizes and names
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/module_sizes.py
	$(BIN)/python tests/class_names.py

migration: $(VENV)/test.stamp ## Write the next migration from tables/: make migration m="why"
	@$(BIN)/python tests/new_migration.py "$(m)"
	@$(BIN)/ruff format -q sync_service/store/migrations && $(BIN)/ruff check -q --fix sync_service/store/migrations

format: $(VENV)/test.stamp ## Put the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove what the other targets made
	rm -rf $(VENV) var build *.egg-info
