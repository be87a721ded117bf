# Every target sets up .venv by itself. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help install demo test check lint types models figures bench clean
help:
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## make .venv with perpixel and its tools
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@

demo: $(STAMP) ## the whole way on synthetic scenes, some minutes: check, train, evaluate, predict, report
	rm -rf runs/demo
	$(BIN)/perpixel demo --out runs/demo

test: $(STAMP) ## the tests and the docstrings' examples
	$(BIN)/pytest -n 2

lint: $(STAMP) ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy
	$(BIN)/mypy

check: lint types test ## what CI runs

models: $(STAMP) ## count every network again: what `perpixel models` shows, and docs/models.md
	$(BIN)/python -m perpixel.analyze.table
	$(BIN)/perpixel models --markdown > docs/models.md

figures: $(STAMP) ## draw the pictures of docs/lecture.md again, some minutes
	$(BIN)/python docs/figures/draw.py

bench: $(STAMP) ## ratios against peers, in one run each
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]' -c constraints.txt
	$(BIN)/python benchmarks/metrics.py

clean: ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache build dist
