# make demo    the whole line on made-up data, from raw transactions to a measured model
# make test    lint, types, layer contracts and all default tests
# make search  the property tests on many new examples
# make real    the line once on real transactions: make real REAL=folder-of-exports

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DEMO   := demo
REAL   ?= ../shared/data

.PHONY: demo test check search real clean

$(READY): pyproject.toml constraints.txt src/ethtune/assets/tested_versions.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

test: check
	$(BIN)/python -m pytest -q

search: $(READY)
	$(BIN)/python -m pytest -q tests/properties --hypothesis-profile search

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell src tests configs benchmarks docs *.md

demo: export PATH := $(CURDIR)/$(BIN):$(PATH)
demo: $(READY)
	rm -rf $(DEMO)
	ethtune doctor
	ethtune sample-data --output $(DEMO)/raw --transactions 4000
	ethtune prepare --input $(DEMO)/raw --output $(DEMO)/data
	ethtune validate-data $(DEMO)/data
	ethtune estimate --profile cpu --config configs/demo.yaml --dataset $(DEMO)/data
	ethtune train --profile cpu --config configs/demo.yaml --dataset $(DEMO)/data --output $(DEMO)/run
	ethtune evaluate $(DEMO)/run --base --limit 48 --max-new-tokens 160
	ethtune sample-data --output $(DEMO)/new --transactions 3 --seed 31
	ethtune predict $(DEMO)/run --input $(DEMO)/new

real: export PATH := $(CURDIR)/$(BIN):$(PATH)
real: $(READY)
	rm -rf $(DEMO)-real
	ethtune prepare --input $(REAL)/mainnet_receipts.jsonl.gz --output $(DEMO)-real/data
	ethtune validate-data $(DEMO)-real/data
	ethtune train --profile cpu --dataset $(DEMO)-real/data --output $(DEMO)-real/run --set training.max_steps=8
	ethtune resume $(DEMO)-real/run --set training.max_steps=10
	ethtune monitor $(DEMO)-real/run --once
	ethtune evaluate $(DEMO)-real/run --limit 8

clean:
	rm -rf $(VENV) $(DEMO) $(DEMO)-real build dist
