# `make demo` and `make test` set up what they need and work from a fresh clone.
# A CPU build of torch is enough everywhere; where pip would pick a CUDA build of
# several GB, point it at a CPU wheel: make setup TORCH_PIP_ARGS="--find-links DIR".
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.whet-stamp
TORCH_PIP_ARGS ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Some containers set it; every process would then compile all it imports again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test adversarial setup check lint e2e vsix unit gpu clean

demo: setup
	@$(BIN)/python examples/demo.py

test: setup lint
	$(BIN)/python -m pytest -q -m "not e2e and not gpu and not adversarial" -n 2 --dist loadfile --no-loadscope-reorder tests

# Tricks, seeded bugs and honest rewrites through the real evaluator, one worker each.
adversarial: setup
	$(BIN)/python -m pytest -q -m adversarial tests/adversarial

setup: $(STAMP)

$(STAMP): pyproject.toml requirements/dev.txt requirements/kernels.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(TORCH_PIP_ARGS) -r requirements/kernels.txt
	$(BIN)/python -m pip install -q -r requirements/dev.txt
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $(STAMP)

# Every static check and the fast tests; what a commit must pass.
check: lint unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

unit: setup
	$(BIN)/python -m pytest -q tests/unit

# Real editors and a real sshd, installed into a cache folder when absent.
e2e: setup vsix
	bash tests/e2e/install.sh
	$(BIN)/python -m pytest -q -m e2e tests

vsix: vscode-extension/whet.vsix

VSIX_SOURCES := $(wildcard vscode-extension/src/*.ts vscode-extension/walkthrough/*) \
	vscode-extension/package.json vscode-extension/package-lock.json \
	vscode-extension/esbuild.mjs vscode-extension/README.md

vscode-extension/whet.vsix: $(VSIX_SOURCES)
	cd vscode-extension && npm ci --no-audit --no-fund --loglevel=error && npm test --silent && \
		npm run --silent package

# What needs a clock; see the script for its parts.
gpu: setup
	tests/gpu/all.sh build/gpu $(PART) $(BIN)/python

clean:
	rm -rf $(VENV) vscode-extension/node_modules vscode-extension/dist vscode-extension/*.vsix
