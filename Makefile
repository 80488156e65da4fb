# make demo   label the pictures in input/ with the shipped weights
# make test   run the tests
# make check  lint and types
# Each sets up .venv when requirements.txt has changed; a second run installs nothing.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check clean

demo: .venv/.installed
	$(BIN)/python demo_image_batch.py input

test: .venv/.installed-test
	$(BIN)/python -m pytest

check: .venv/.installed-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

.venv/.installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/.installed-test: .venv/.installed tests/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

clean:
	rm -rf .venv
