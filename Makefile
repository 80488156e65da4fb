# make demo   label the pictures in input/ with the shipped weights
# make test   run the tests
# make check  lint and types
# make weights  train the shipped weights again from data/: days on a CPU; FLAGS="--votes fer2013new.csv --minutes 60"
# make test-opencv5  the tests of finding faces, with OpenCV 5 in the place of OpenCV 4
# Each sets up .venv when requirements.txt has changed; a second run installs nothing.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check weights test-opencv5 clean

demo: .venv/.installed
	$(BIN)/python demo_image_batch.py input

test: .venv/.installed-test
	$(BIN)/python -m pytest

test-opencv5: .venv/.installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --no-deps --target .venv/opencv5 "opencv-python>=5"
	PYTHONPATH=.venv/opencv5 $(BIN)/python -m pytest tests/test_faces.py tests/test_rpn.py tests/test_pictures.py tests/test_demo_image.py

check: .venv/.installed-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

weights: .venv/.installed
	$(BIN)/python -m models.training.weights $(FLAGS)

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
