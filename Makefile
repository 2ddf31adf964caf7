# Two commands: `make run` starts everything, `make test` tests everything. Both need Python 3.11+ and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK = $(BIN)/python -m uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header $(UPGRADE)
DIST = $(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w dist

.PHONY: run avra test coverage faults hosts bench mutants check lock docs wheel client sbom reference api-reference clean

run: $(VENV)/run.stamp
	@exec $(BIN)/python -m webhooks_app run

# Of `make run` what it installs: the command that the documents call `avra`, which works in any folder.
avra: $(VENV)/run.stamp
	@echo $(BIN)/avra

# They start hundreds of processes; where no bytecode is kept, each compiles the platform anew, for a second or two.
test coverage: export PYTHONDONTWRITEBYTECODE =

# In a random order, in two processes per core. ARGS="-n0 -k retry" for a part of it in one process,
# ARGS="--randomly-seed=7" for an order that an earlier run printed.
test: $(VENV)/dev.stamp
	@exec $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal $(ARGS)

# The same, with the lines and branches that no test took; it costs the half again.
coverage: $(VENV)/dev.stamp
	@exec $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal --cov=webhooks_app --cov-branch --cov-report=term-missing:skip-covered $(ARGS)

# Kills the platform hundreds of times; ARGS="--database sqlite --only storm --seed 7" for a part of it.
faults: $(VENV)/dev.stamp
	@exec $(BIN)/python -m faults $(ARGS)

# Needs root, as each host is a network namespace, and nginx, PgBouncer and iproute2.
hosts: $(VENV)/dev.stamp
	@exec $(BIN)/python -m hosts $(ARGS)

# Figures of this machine beside two yardsticks; ARGS="--database sqlite --only drain10" for a part of it.
bench: $(VENV)/dev.stamp
	@exec $(BIN)/python -m bench $(ARGS)

# Small changes to the core that no test notices; ARGS="--only worker/recording --seed 7" for a part of it.
mutants: $(VENV)/dev.stamp
	@exec $(BIN)/python -m mutants $(ARGS)

check: $(VENV)/dev.stamp
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m codespell_lib
	$(BIN)/python -m pytest -q tests/test_packages.py tests/test_contributing.py

# The documents as a site, into site/, which the web serves under /docs; with tools of its own, not those of the platform.
docs: $(VENV)/build.stamp
	@$(BIN)/python -m uv run -q --isolated --no-project --with-requirements docs_site/tools.txt python -m docs_site site
	@echo site/index.html

# What a deployment installs, into dist/: the wheel with the site, and the tested versions of what it needs, with hashes.
wheel: docs
	@rm -f dist/webhooks_app-*.whl
	@$(DIST) .
	@cp deploy/requirements.txt dist/
	@ls dist/webhooks_app-* dist/requirements.txt

# What apps that send events install, into dist/.
client: $(VENV)/build.stamp
	@rm -f dist/avra_client-*.whl
	@$(DIST) clients/python
	@ls dist/avra_client-*

# What the wheel and the files it serves are made of, for whoever checks for known weaknesses.
sbom: $(VENV)/build.stamp $(VENV)/run.stamp
	@mkdir -p dist
	@$(BIN)/python -m uv run -q --isolated --no-project --with-requirements tests/deploy/tools.txt \
		python deploy/bill_of_materials.py $(abspath $(BIN)/python) > dist/avra.cdx.json
	@ls dist/avra.cdx.json

# UPGRADE= for the versions that are there already, after a change of the lists that they are compiled from.
lock: UPGRADE ?= --upgrade
lock: $(VENV)/build.stamp
	$(LOCK) pyproject.toml --extra embedded --extra test -o requirements.txt
	$(LOCK) -c requirements.txt requirements.in -o deploy/requirements.txt
	$(LOCK) requirements-build.in -o requirements-build.txt
	$(LOCK) requirements-dev.in -o requirements-dev.txt
	$(LOCK) docs_site/tools.in -o docs_site/tools.txt
	$(LOCK) tests/deploy/tools.in -o tests/deploy/tools.txt
	$(LOCK) tests/avra_client/frameworks.in -o tests/avra_client/frameworks.txt
	$(LOCK) tests/web/api/clients/tools.in -o tests/web/api/clients/tools.txt

# Every page of docs/, and part of one, that is made of the code.
reference: $(VENV)/dev.stamp
	@$(BIN)/python -m docs_site.reference

# Of these the reference of the API alone, from the operations and models that it is made of.
api-reference: $(VENV)/dev.stamp
	@$(BIN)/python -m webhooks_app.web.api.reference > docs/api.md

clean:
	rm -rf $(VENV)

$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3.11"; exit 1; }
	@case "$$PWD" in *:*) \
		echo "error: a virtual environment cannot be made below a folder with a colon in its name; move this one"; exit 1;; esac
	@[ -w . ] || { echo "error: this folder cannot be written, so nothing can be installed into it; copy it to one that can"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "error: $(PYTHON) cannot make a virtual environment (on Debian: apt install python3-venv)"; exit 1; }
	@touch $@

# `python -m webhooks_app` for whichever folder it is called in.
$(BIN)/avra: $(VENV)/python.stamp
	@printf '%s\n' '#!/bin/sh' 'checkout=$$(dirname "$$(readlink -f "$$0")")/../..' \
		'PYTHONPATH=$$checkout exec "$$checkout/$(BIN)/python" -P -m webhooks_app "$$@"' > $@
	@chmod +x $@

$(VENV)/run.stamp: $(VENV)/python.stamp requirements.txt | $(BIN)/avra
	@echo "Installing into $(VENV), once; it takes one to two minutes …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

# What wheels are built with, and uv, which runs other tools in environments of their own.
$(VENV)/build.stamp: $(VENV)/python.stamp requirements-build.txt
	@echo "Installing what builds need into $(VENV), once …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.txt
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements-dev.txt
	@echo "Installing what the tests need, once; it takes some minutes …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
