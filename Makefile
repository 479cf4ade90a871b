# One entry for people and CI.  `make help` lists what there is.
# Everything is installed into .venv in this folder; a second run installs nothing.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test lint types format licences wheel clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SCREEN := scripts/with-screen

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## install everything into .venv, and system packages that are missing
	@scripts/system-packages

$(STAMP): pyproject.toml scripts/setup
	@scripts/system-packages
	@scripts/setup $(VENV)

demo: setup ## open napari on a synthetic case and segment it; without a screen leave demo-output/
	@if $(SCREEN) --there; then keep=--keep-open; else keep=--no-keep-open; fi; \
	$(SCREEN) $(BIN)/napari-gliocam demo --out demo-output $$keep

test: setup ## style, types, manifest, then every test
	@scripts/check $(BIN)

lint: setup ## style only
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup ## types only
	@$(BIN)/mypy

format: setup ## put the code into shape
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

licences: setup ## licence of every package that the base install brings
	@$(BIN)/python scripts/licences.py

wheel: setup ## build dist/*.whl and list what it holds
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@$(BIN)/python -m zipfile -l dist/napari_gliocam-*.whl

clean: ## remove the environment and everything that was made
	@rm -rf $(VENV) dist build demo-output .mypy_cache .pytest_cache .ruff_cache .hypothesis
