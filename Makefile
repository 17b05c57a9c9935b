# make        install into .venv, run the experiment of params.yaml, print the leaderboard
# make test   run the whole test suite
# make faults inject hundreds of faults into every stage and judge what came of each (about an hour)
# make bench  measure the training core and its parts beside other libraries (13 minutes on two cores)
# make lint   check style and types
# make clean  remove the environment (results stay)

VENV := .venv
# With a shell of its own, make 3.81 (macOS) finds commands by the PATH exported here.
SHELL := /bin/bash
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# The first of these that runs and is 3.11 to 3.13; choose another with `make PYTHON=…`.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c "$(SUPPORTED)" 2>/dev/null && { echo $$p; break; }; done)

# Commands of an environment name its interpreter: gone when the folder has moved, or Python itself has.
BROKEN := $(shell p=$$(sed -n '1s/^#!//p; 2s/.*exec. "\([^"]*\)".*/\1/p' $(VENV)/bin/sslpipe 2>/dev/null | tail -n 1); \
	[ -z "$$p" ] || [ -x "$$p" ] || echo $(VENV)/python)

.PHONY: run test faults bench lint clean $(BROKEN)
.DEFAULT_GOAL := run

run: $(VENV)/installed
	@echo "==> Running the experiment of params.yaml (what is up to date is not run again)"
	snakemake --cores all
	@sslpipe show

test: $(VENV)/installed-dev
	@echo "==> Running the test suite"
	OMP_NUM_THREADS=1 python -m pytest --numprocesses 2 --dist loadfile

faults: $(VENV)/installed-dev
	@echo "==> Injecting faults; what is found is in faults.csv"
	@rm -f faults.csv
	python tests/engines/faults/campaign.py --faults 240 --table faults.csv
	@python tests/engines/faults/table.py faults.csv

bench: $(VENV)/installed-bench
	@echo "==> Measuring side by side; nothing else should run meanwhile"
	python -m benchmarks

lint: $(VENV)/installed-dev
	@echo "==> Checking style and types"
	ruff check .
	ruff format --check .
	snakefmt --check workflow
	snakemake --lint
	mypy

clean:
	rm -rf $(VENV)

$(VENV)/python:
	@$(if $(BROKEN),echo "==> The Python of $(VENV) is not where it was (was this folder moved?): making it anew" && rm -rf $(VENV))
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 to 3.13 found;" \
		"install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "==> Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "make: cannot create a virtual environment;" \
		"on Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/installed: $(VENV)/python constraints.txt pyproject.toml
	@echo "==> Installing the pinned versions of constraints.txt (several GB with PyTorch on Linux)"
	@python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "==> Installing what the tests need"
	@python -m pip install --quiet --constraint constraints.txt --editable '.[dev,elpv,hub]'
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed
	@echo "==> Installing the libraries to compare with"
	@python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	@touch $@
