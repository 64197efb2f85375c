# Everything that is done with this repository, for people and for CI alike. `make` lists it.
#
#   PYTHON=python3.12      the interpreter of the virtual environment; otherwise the first that fits of CANDIDATES
#   TORCH_INDEX=https://download.pytorch.org/whl/cpu
#                          an index that is searched too, here for PyTorch without the gigabytes of CUDA
#   PYTEST_ARGS="-k faces" passed on to pytest
#   JOBS=2                 processes that share the tests, 0 for none beside pytest's; otherwise one a core, four at most

BIN := .venv/bin
STAMP := .venv/installed
TESTED := .venv/installed-for-tests
# 3.11 comes first because constraints.txt was resolved and tested with it.
CANDIDATES := $(or $(PYTHON),python3.11 python3.12 python3.13 python3)
# Twice quiet: errors only; what happens is told in one line for each step.
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt
# A file of tests stays in one process, so that what its tests share is made once; tests/conftest.py puts long ones first.
JOBS := auto
SHARED := --numprocesses $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
PHOTO := assets/astronaut.png
PICTURES := out/astronaut-startled.png out/astronaut-sad.png out/astronaut-wicked.png out/astronaut-gamut.png \
	out/astronaut-sweep.png

.NOTPARALLEL:
.PHONY: help demo install test lint check docs clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' Makefile

demo: install ## install, then edit a portrait; the pictures lie in out/
	$(BIN)/mien edit $(PHOTO) --expression "a bit fearful, mostly surprised" -o out/astronaut-startled.png
	$(BIN)/mien edit $(PHOTO) --expression sad --from neutral -o out/astronaut-sad.png
	$(BIN)/mien edit $(PHOTO) --expression upper=anger/lower=happy -o out/astronaut-wicked.png
	$(BIN)/mien gamut $(PHOTO) -o out/astronaut-gamut.png
	$(BIN)/mien sweep $(PHOTO) -o out/astronaut-sweep.png
	@echo "one portrait edited, twice; its halves for themselves; the whole disc; every expression at five intensities:"
	@printf '  %s\n' $(PICTURES)

install: $(STAMP) ## make .venv with the package and what edits photos and films and trains

test: $(TESTED) ## run the tests
	@$(BIN)/python -m pytest $(SHARED) $(PYTEST_ARGS)

lint: $(TESTED) ## run the quick checks: style, layers, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	@if command -v node >/dev/null; then echo $(BIN)/pyright; $(BIN)/pyright; \
	else echo "pyright skipped: it needs node on the PATH"; fi

check: lint test ## run all that CI runs

docs: $(TESTED) ## write docs/cli.md anew from the commands
	$(BIN)/python scripts/write_cli_reference.py

clean: ## remove .venv, caches and the demo's pictures, never data or runs
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache .hypothesis $(PICTURES)

# The file pip is the last thing that venv writes: without it an interrupted venv is made again.
$(BIN)/pip:
	@for python in $(CANDIDATES); do \
		if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "making .venv with $$("$$python" --version)"; \
			exec "$$python" -m venv .venv; \
		fi; \
	done; \
	echo "no Python 3.11 or newer with venv found (tried: $(CANDIDATES))" >&2; \
	echo "hint: install one (Debian, Ubuntu: python3-venv too), or name it: make PYTHON=/path/to/python3.11 demo" >&2; \
	exit 1

# torch comes first and alone, so that the long download has its own line.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing torch into .venv (the long step: minutes where it must be downloaded)"
	@$(PIP_INSTALL) $(addprefix --extra-index-url ,$(TORCH_INDEX)) torch
	@echo "installing mien and its tools"
	@$(PIP_INSTALL) --editable '.[train,video,heic]'
	@touch $@

$(TESTED): $(STAMP)
	@echo "installing what the tests need besides: the other extras, and the checkers"
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $@
