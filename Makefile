# Needs python3 (3.11 or newer) and make; everything else is installed into VENV.
PYTHON ?= python3
VENV ?= .venv
# The wheel is tested in an environment of its own, from outside the checkout.
TEST_VENV ?= .venv-test$(if $(LOWEST),-lowest)
# Arguments for pytest, e.g. TESTS='--slow -k recording'
TESTS ?=

# LOWEST=1 tests with the lowest versions that pyproject.toml allows, not the newest
LOWEST ?=

# Runs of each backend that make validate judges together
SEEDS ?= 1

# Where pip cannot write its cache it fails to build wheels (as root, whom it does not doubt)
ifeq ($(shell cache="$${XDG_CACHE_HOME:-$$HOME/.cache}/pip"; [ -n "$$HOME" ] && \
  mkdir -p "$$cache" 2> /dev/null; [ -w "$$cache" ] && echo yes),)
  export PIP_NO_CACHE_DIR = 1
endif

HERE := $(CURDIR)
PACKAGES := portable_cortex backends hardware_configs portal validation
SOURCES := pyproject.toml setup.py $(shell find $(PACKAGES) -type f -not -name '*.pyc')
TEST_BIN := $(abspath $(TEST_VENV))/bin

.PHONY: help demo validate notebooks test lint docs check format clean wheel release

help:
	@echo "make demo    run the microcircuit at a tenth of its size: rates and a figure"
	@echo "make validate  run each simulator that can be installed, set them beside one another on a page"
	@echo "make notebooks  run those of docs/notebooks again, with what they show"
	@echo "make test    build the wheel, install it into $(TEST_VENV), test it there"
	@echo "make lint    format, lint and types"
	@echo "make docs    build the documentation as a site in build/site, its links checked"
	@echo "make check   lint, test and docs in an environment made anew, as GitHub does: what must pass"
	@echo "make format  format the code"
	@echo "make release  build and check what a release uploads, and say what to do next"
	@echo "make clean   remove what these commands made"

demo: $(VENV)/installed
	$(VENV)/bin/portable-cortex run --scale 0.1 --out results/demo --overwrite

validate: $(VENV)/installed
	$(VENV)/bin/pip install --quiet '.[all]'
	$(VENV)/bin/portable-cortex compare --scale 0.1 --duration 2000 --seeds $(SEEDS) --overwrite \
	  --out results/validate --report results/validate/compare.html \
	  --junit results/validate/compare.xml --json results/validate/compare.json \
	  $(if $(GITHUB_STEP_SUMMARY),--summary '$(GITHUB_STEP_SUMMARY)')

notebooks: wheel
	PATH="$(TEST_BIN):$$PATH" $(TEST_BIN)/python docs/site/notebooks.py

test: wheel
	cd $$(mktemp -d) && $(TEST_BIN)/python -m pytest -c $(HERE)/pyproject.toml --rootdir $(HERE) \
	  -n 2 --dist loadfile --no-loadscope-reorder $(HERE)/tests $(TESTS)

lint: wheel
	$(TEST_BIN)/ruff format --check .
	$(TEST_BIN)/ruff check .
	cd $$(mktemp -d) && $(TEST_BIN)/mypy --config-file $(HERE)/pyproject.toml -p portable_cortex

# From a copy, in which the pages of the Python interface are made. Warnings are errors.
docs: wheel
	cp -r *.md *.cff docs benchmarks examples tests action.yml $(TEST_VENV)/source
	rm -rf build/site
	$(TEST_BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env \
	  --conf-dir $(TEST_VENV)/source/docs/site --doctree-dir $(TEST_VENV)/doctrees $(TEST_VENV)/source build/site
	@echo "build/site/index.html"

check:
	.ci/run $(PYTHON)

release:
	.ci/release $(PYTHON)

format: $(TEST_VENV)/installed
	$(TEST_BIN)/ruff check --fix-only .
	$(TEST_BIN)/ruff format .

clean:
	rm -rf $(VENV) $(TEST_VENV) build dist results *.egg-info

# Built anew each time, without what an earlier build left, so that a file that is missing from
# the wheel is missed by the tests; from a copy, so that two runs in one checkout do not meet. The
# copy has no history: it is told its version.
COPY = rm -rf $(TEST_VENV)/source && mkdir $(TEST_VENV)/source && \
  cp -r pyproject.toml setup.py README.md LICENSE $(PACKAGES) $(TEST_VENV)/source
VERSIONED = SETUPTOOLS_SCM_PRETEND_VERSION_FOR_PORTABLE_CORTEX=$$($(TEST_BIN)/python -m setuptools_scm)

wheel: $(TEST_VENV)/installed
	$(COPY)
	rm -rf $(TEST_VENV)/wheel
	$(VERSIONED) $(TEST_BIN)/pip wheel --quiet --no-deps --wheel-dir $(TEST_VENV)/wheel $(TEST_VENV)/source
	$(TEST_BIN)/pip install --quiet --no-deps --force-reinstall $(TEST_VENV)/wheel/*.whl

$(VENV)/installed: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	rm -rf build *.egg-info
	$(VENV)/bin/pip install --quiet --upgrade pip
	$(VENV)/bin/pip install --quiet --upgrade .
	touch $@

$(TEST_VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(TEST_VENV)
	$(TEST_BIN)/pip install --quiet --upgrade pip 'setuptools-scm>=9.2' uv
	$(COPY)
	$(VERSIONED) $(if $(LOWEST),$(TEST_BIN)/uv pip install --python $(TEST_BIN)/python \
	  --resolution lowest-direct,$(TEST_BIN)/pip install) --quiet '$(TEST_VENV)/source[dev]'
	touch $@
