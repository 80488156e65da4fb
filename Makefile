# make demo   label the pictures in input/ with the shipped weights; CPU=1 installs PyTorch's builds for CPUs alone
# make test   run the tests
# make check  lint and types
# make weights  train the shipped weights again from data/: days on a CPU; FLAGS="--votes fer2013new.csv --minutes 60"
# make test-opencv5  the tests of finding faces, with OpenCV 5 in the place of OpenCV 4
# make test-oldest  all tests with the lowest versions that the requirements allow, on the oldest Python
# make test-newest  all tests with the newest that they allow, as of today: make test-newest PYTHON=python3.13
# Each sets up .venv when requirements.txt has changed; a second run installs nothing. The last two have environments of
# their own, .venv-oldest and .venv-newest.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := -m pip install --quiet --disable-pip-version-check
REQUIREMENTS := requirements.txt tests/requirements.txt
CPU_BUILDS := https://download.pytorch.org/whl/cpu
TORCH = $(shell sed -n 's/^\(torch[^ #]*\).*/"\1"/p' requirements.txt)

.PHONY: demo test check weights test-opencv5 test-oldest test-newest clean

demo: .venv/.installed
	$(BIN)/python demo_image_batch.py input

test: .venv/.installed-test
	$(BIN)/python -m pytest

test-opencv5: .venv/.installed-test
	$(BIN)/python $(INSTALL) --upgrade --no-deps --target .venv/opencv5 "opencv-python>=5"
	PYTHONPATH=.venv/opencv5 $(BIN)/python -m pytest tests/test_faces.py tests/test_rpn.py tests/test_pictures.py tests/test_pictures_refused.py tests/test_pixels.py tests/test_demo_image.py

test-oldest: .venv-oldest/.installed
	.venv-oldest/bin/python -m pytest

test-newest:
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python $(INSTALL) --upgrade $(REQUIREMENTS:%=-r %)
	.venv-newest/bin/python -m pytest

check: .venv/.installed-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

weights: .venv/.installed
	$(BIN)/python -m models.training.weights $(FLAGS)

.venv/.installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.13")'
	$(PYTHON) -m venv .venv
	$(if $(CPU),$(BIN)/python $(INSTALL) --index-url $(CPU_BUILDS) $(TORCH))
	$(BIN)/python $(INSTALL) -r requirements.txt
	touch $@

.venv/.installed-test: .venv/.installed tests/requirements.txt
	$(BIN)/python $(INSTALL) -r tests/requirements.txt
	touch $@

.venv-oldest/.installed: PYTHON := python3.11
.venv-oldest/.installed: $(REQUIREMENTS)
	rm -rf .venv-oldest
	$(PYTHON) -m venv .venv-oldest
	sed 's/>=/==/' $^ > .venv-oldest/requirements.txt
	.venv-oldest/bin/python $(INSTALL) -r .venv-oldest/requirements.txt
	touch $@

clean:
	rm -rf .venv .venv-oldest .venv-newest
