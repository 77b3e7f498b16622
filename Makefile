# make demo         show the whole job with nothing to configure (KEEP=1 leaves it running)
# make test         linters, type checker, and all tests against real servers
# make lint         the linters and the type checker alone
# make venv         only make the environment, .venv
# make clean        remove everything that these made

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo test lint venv servers clean

# The first Python that is new enough; `make PYTHON=/path/to/python test` chooses another.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	if "$$each" -c '$(NEW_ENOUGH)' 2>/dev/null; then echo "$$each"; break; fi; done)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# A warning fails its test; but what our dependencies deprecate depends on their release.
WARNINGS := -W error -W default::DeprecationWarning -W default::PendingDeprecationWarning
METADATA := setup.cfg pyproject.toml mailnotify/__init__.py

demo: $(VENV)/demo.stamp
	@$(BIN)/python -m mailnotify.demo $(if $(KEEP),--keep)

test: servers lint
	@$(BIN)/python -m coverage erase
	@$(BIN)/python $(WARNINGS) -m coverage run -m tests
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report

lint: $(VENV)/dev.stamp
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

venv: $(VENV)/dev.stamp

# Real servers for the tests; what cannot be had is named, and its tests are skipped.
servers:
	@tests/install-servers

$(VENV)/dev.stamp: $(METADATA) | $(BIN)/pip
	@echo 'Installing mailnotify[dev] into $(VENV) ...'
	@$(PIP) install --editable '.[dev]'
	@touch $(VENV)/dev.stamp $(VENV)/demo.stamp

$(VENV)/demo.stamp: $(METADATA) | $(BIN)/pip
	@echo 'Installing mailnotify[demo] into $(VENV) ...'
	@$(PIP) install --editable '.[demo]'
	@touch $@

$(BIN)/pip:
	@if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null; then \
		echo 'mailnotify needs Python 3.11 or newer: apt-get install python3, or' \
			'make PYTHON=/path/to/python $(MAKECMDGOALS)'; exit 1; fi
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || tests/install-servers python3-venv
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo 'The module venv is missing: apt-get install python3-venv, then again.'; exit 1; }

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* _trial_temp* \
		.mypy_cache .ruff_cache .hypothesis twisted/plugins/dropin.cache
	find mailnotify tests twisted benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
