# make demo   install, tell the whole story on the embedded model, say where the page is
# make test   the default tests; make check is what CI runs: format, lint, types, tests, docs; make bench: the small benchmarks

PYTHON ?= python3
VENV ?= .venv
OUT ?= runs/demo
WORK ?= runs/embedded
BIN := $(VENV)/bin
BASE := $(VENV)/.installed
LOCAL := $(VENV)/.installed-local
DEV := $(VENV)/.installed-dev
PEERS := $(VENV)/.installed-bench
BENCHMARKS := $(sort $(wildcard benchmarks/*.py))

.PHONY: demo embedded test slow check lint types docs bench clean
.DELETE_ON_ERROR:

demo: $(LOCAL)
	$(BIN)/pluralign demo --out $(OUT)

# trains the embedded model anew and puts it into the package; goes on where it was stopped
embedded: $(DEV)
	$(BIN)/python recipes/embedded.py $(WORK) --install

# one thread of arithmetic per process: there is a process per core already
test: $(DEV)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

slow: $(DEV)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow

check: lint types test docs

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(DEV)
	$(BIN)/mypy

docs: $(DEV)
	$(BIN)/python -m pytest -q --doctest-modules --doctest-glob='*.md' src README.md CONTRIBUTING.md docs

# small, to see that they run and that ours is right: two at a time, so their times mean little (run one by itself for those)
bench: $(PEERS)
	@printf '%s\n' $(BENCHMARKS) | OMP_NUM_THREADS=1 xargs -P 2 -I{} sh -c \
		'said=$$($(BIN)/python {} 2>&1); code=$$?; printf "%s\n%s\n" {} "$$said"; exit $$code'

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# the stamps make an install happen again only when pyproject.toml has changed
$(BASE): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet -e .
	touch $@

# torch comes first, so that pip takes the CPU build where one is offered
$(LOCAL): $(BASE)
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet -e '.[local]'
	touch $@

$(DEV): $(LOCAL)
	$(BIN)/python -m pip install --quiet -e '.[local,api]' --group dev
	touch $@

$(PEERS): $(DEV)
	$(BIN)/python -m pip install --quiet --group bench
	touch $@
