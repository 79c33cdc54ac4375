# Two commands matter: `make run` opens the app, `make test` proves it. `make help` lists the rest.
#
#   make run HOST=0.0.0.0 PORT=8000 LANG_UI=zh    # what is not given keeps its default
#   make run PYTHON=/path/to/python3.12           # otherwise the first one that fits
#
# Everything is installed into .venv, once, and again only when a requirements file or
# constraints.txt has changed. The embedded model lies under TUNER_HOME, not here.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

VENV := .venv
PY := $(VENV)/bin/python
RUN_READY := $(VENV)/.ready-to-run
TEST_READY := $(VENV)/.ready-to-test

# The first Python that is new enough and can make an environment.
IS_FIT = -c 'import sys, venv, ensurepip; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do "$$p" $(IS_FIT) && { echo "$$p"; break; }; done)

PIP_INSTALL = $(PY) -m pip install --disable-pip-version-check --constraint constraints.txt

# A browser that really starts: some systems have a chromium-browser that only says where to get one.
FIND_CHROMIUM = for c in "$$CHROMIUM" chromium chromium-browser google-chrome google-chrome-stable; do \
	[ -n "$$c" ] && "$$c" --version >/dev/null 2>&1 && { command -v "$$c"; break; }; done

# root, on a system with Debian's packages
CAN_APT = [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null
APT_INSTALL = apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends

# A look at one file: `python -m tuner model` would start a helper process.
MODEL_READY = $(PY) -c 'from tuner.hub import embedded; from tuner.settings import Settings; \
	raise SystemExit(not embedded.is_ready(Settings.load()))' 2>/dev/null

# Given on the command line or in the environment, they reach the app; empty means the default.
export HOST PORT LANG_UI

.PHONY: help
help:  ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: $(RUN_READY)  ## install what is missing, make the embedded model, open the app
	-@$(MODEL_READY) || $(PY) -m tuner model >/dev/null
	@exec $(PY) app.py

.PHONY: test
test: $(TEST_READY) check browser model  ## run every check and every test, in a real browser too
	CHROMIUM="$$($(FIND_CHROMIUM))" $(PY) -m pytest

.PHONY: check
check: $(TEST_READY)  ## lint, format and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

.PHONY: unit
unit: $(TEST_READY)  ## the tests that need neither training nor a browser
	$(PY) -m pytest -m "not slow and not browser"

.PHONY: bench
bench: $(TEST_READY) model  ## measure, and print ratios
	$(PY) -m bench

.PHONY: model
model: $(RUN_READY)  ## make the embedded model
	@$(MODEL_READY) || $(PY) -m tuner model >/dev/null

.PHONY: browser
browser: $(TEST_READY)  ## see that there is a Chromium, and a font for Chinese
	@if [ -n "$$($(FIND_CHROMIUM))" ]; then :; \
	elif $(CAN_APT) && $(APT_INSTALL) chromium && [ -n "$$($(FIND_CHROMIUM))" ]; then :; \
	else $(PY) -m playwright install chromium; fi
	@if [ -n "$$(fc-list :lang=zh family 2>/dev/null)" ]; then :; \
	elif $(CAN_APT) && $(APT_INSTALL) fontconfig fonts-noto-cjk; then :; \
	else echo "No font for Chinese was found: screenshots will show boxes in its place."; fi

.PHONY: clean
clean:  ## remove what was made in this folder, .venv included; models and runs stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A link to a Python that is gone counts as missing, and what was built for it goes too.
$(PY):
	@"$(PYTHON)" $(IS_FIT) || { echo "Python 3.11 or newer, with venv, is needed: make run PYTHON=/path/to/python3.12" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)

$(RUN_READY): requirements.txt constraints.txt | $(PY)
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip
	$(PIP_INSTALL) --requirement requirements.txt
	@touch $@

# requirements-test.txt contains requirements.txt, so both are ready after it.
$(TEST_READY): requirements-test.txt requirements.txt constraints.txt | $(PY)
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip
	$(PIP_INSTALL) --requirement requirements-test.txt
	@touch $(RUN_READY) $@
