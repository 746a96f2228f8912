# Everything sets itself up: `make test` on a fresh machine with Python 3.11+ is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-dev
export OMP_NUM_THREADS ?= 2

.PHONY: help demo test check types format bench study docs clean install

help:
	@echo "make demo   a first look: draws a set, trains, indexes, asks, writes an HTML report"
	@echo "make test   the whole offline test suite"
	@echo "make check  format, lint, types, docs"
	@echo "make bench  timings with ratios, into benchmarks/RESULTS.md"
	@echo "make study DATA=photos/   the founding study's recipe and casebase's own on one set (docs/study.md)"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("casebase needs Python 3.11 or newer, this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# torch and torchvision first and together: they must be builds for each other.
$(STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "torch>=2.14" "torchvision>=0.29"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/casebase demo

# One test process per core, each on one thread; a file's tests stay together, so that what they share is made once.
# Files come as they are named: by their number of tests, one file of few long tests would be left alone at the end.
TEST_PROCESSES ?= 2
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_docs.py

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP)
	$(BIN)/python docs/make_reference.py

bench: $(STAMP)
	$(BIN)/python -m benchmarks.run

study: $(STAMP)
	@test -n "$(DATA)" || { echo "make study DATA=photos/ [TRAIN='--weights resnet18.safetensors']"; exit 2; }
	$(BIN)/python -m benchmarks.study "$(DATA)" -- $(TRAIN)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .demo
