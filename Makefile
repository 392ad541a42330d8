# Needs Python 3.11 or newer and make. Everything else goes into .venv.
# All paths are relative, so the checkout may lie anywhere, spaces included.

VENV ?= .venv
PY := $(VENV)/bin/python

# The first interpreter that runs and is new enough (a pyenv shim can exist and not run).
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	{ echo "$$p"; break; }; done)

export TF_CPP_MIN_LOG_LEVEL ?= 3
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Tests and benchmarks start hundreds of processes, each of which would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-exhaustive test-all coverage fuzz matrix test-quick test-newest-keras lint format bench docs pictures dist clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /|/' | \
		while IFS='|' read -r name text; do printf '  make %-17s %s\n' "$$name" "$$text"; done

demo: $(VENV)/demo.stamp ## Train six small LSTMs on two workers and compare them
	@"$(PY)" examples/demo.py

# Two files at a time: a fit and its fleet wait for one another often enough to share two cores.
# A test process that dies, or hangs where no signal reaches Python, ends the run with its test
# named: pytest-xdist 3.8 waits for ever after it has replaced one.
PYTEST = "$(PY)" -m pytest -n 2 --dist loadfile --max-worker-restart=0 -o faulthandler_exit_on_timeout=true

test: lint $(VENV)/browser.stamp ## Run the linters and the tests of everything, with few variants of each
	$(PYTEST) -o faulthandler_timeout=330 -m "not slow"

test-slow: $(VENV)/dev.stamp $(VENV)/browser.stamp ## Run more faults and models; CI runs it after `make test`
	$(PYTEST) -o faulthandler_timeout=1900 -m "slow and not exhaustive"

test-exhaustive: $(VENV)/dev.stamp ## Run every other layer, loss, optimizer, model, seed and schema version
	$(PYTEST) -o faulthandler_timeout=1900 -m exhaustive

test-all: test test-slow test-exhaustive ## Run every test

coverage: $(VENV)/dev.stamp $(VENV)/browser.stamp ## Run every test and show which lines none has run; takes longer
	"$(PY)" -m pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered

matrix: $(VENV)/dev.stamp ## Compare each engine with Keras's fit on everything; takes an hour
	"$(PY)" tests/integration/engines/matrix.py $(MATRIX)

fuzz: $(VENV)/dev.stamp ## Feed 200,000 damaged files and 500,000 damaged specs to fitfleet; takes hours
	"$(PY)" tests/fuzz/fuzz_specs.py 500000
	"$(PY)" tests/fuzz/fuzz_files.py $(FUZZ)

test-quick: $(VENV)/dev.stamp ## Run the tests that start no worker
	"$(PY)" -m pytest -m "not slow" tests/unit tests/contract

# Its own venv, where pip is told to pass over the cap of pyproject.toml. KERAS=keras-nightly is the newest of all.
KERAS ?= keras
NEWEST := $(VENV)-newest-keras

test-newest-keras: $(NEWEST)/dev.stamp ## Run the engine tests on the newest Keras, above the cap
	"$(NEWEST)/bin/python" -m pip uninstall -q -y keras keras-nightly
	"$(NEWEST)/bin/python" -m pip install -q --upgrade --no-deps "$(KERAS)"
	"$(NEWEST)/bin/python" -c "import keras; print('Keras', keras.__version__)"
	"$(NEWEST)/bin/python" -m pytest tests/integration/engines tests/integration/worker/test_keras_private.py

$(NEWEST)/dev.stamp: pyproject.toml
	@$(MAKE) --no-print-directory VENV="$(NEWEST)" "$@"

lint: $(VENV)/dev.stamp ## ruff, mypy and the import contracts
	"$(PY)" -m ruff check .
	"$(PY)" -m ruff format --check .
	"$(PY)" -m mypy
	"$(VENV)/bin/lint-imports"

format: $(VENV)/dev.stamp ## Fix what ruff can fix
	"$(PY)" -m ruff check --fix .
	"$(PY)" -m ruff format .

bench: $(VENV)/dev.stamp ## Run the benchmarks and print their tables
	"$(PY)" -m benchmarks $(BENCH)

pictures: $(VENV)/dev.stamp $(VENV)/browser.stamp ## Take the pictures of the dashboard for the documentation
	"$(PY)" docs/pictures.py

docs: $(VENV)/dev.stamp ## Write the generated parts of docs/ again
	"$(PY)" docs/generate.py

dist: $(VENV)/dev.stamp ## Build a wheel into dist/
	"$(PY)" -m pip wheel -q --no-deps --no-build-isolation -w dist .

clean: ## Remove the venv, the demo's folder and caches
	rm -rf "$(VENV)" "$(NEWEST)" demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/venv.stamp:
	@test -n "$(PYTHON)" || { echo "fitfleet needs Python 3.11 or newer, and none was found." >&2; \
		echo "Install it, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = sys.version.split()[0]; \
		sys.exit(f"fitfleet needs Python 3.11 or newer; $(PYTHON) is {v}. Try: make PYTHON=python3.11" \
		if sys.version_info < (3, 11) else 0)'
	"$(PYTHON)" -m venv "$(VENV)"
	@touch "$@"

# The demo needs no development tools; what tests need includes what the demo needs.
$(VENV)/demo.stamp: pyproject.toml $(VENV)/venv.stamp
	"$(PY)" -m pip install -q -e '.[demo]'
	@touch "$@"

$(VENV)/dev.stamp: pyproject.toml $(VENV)/venv.stamp
	"$(PY)" -m pip install -q -e '.[dev]'
	@touch "$@" "$(VENV)/demo.stamp"

# The tests of the dashboard drive a real browser: one that is installed, else one that is fetched.
$(VENV)/browser.stamp: $(VENV)/dev.stamp
	@"$(PY)" tests/dashboard/get_browser.py
	@touch "$@"
