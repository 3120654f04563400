# Everything a person does with this repository. Needs Python 3.11 or newer, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH := .venv-bench
BENCH_STAMP := $(BENCH)/.installed
COMPILE = $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

# Tests start hundreds of processes, and each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo run test checked tested bench soak kafka lock clean

demo: $(STAMP)
	$(BIN)/magnet demo

run: $(STAMP)
	$(BIN)/magnet serve

# Side by side: tests wait for other processes at times, and checks fill the gaps. More processes than cores, too.
test: $(STAMP)
	@$(MAKE) --no-print-directory -j 2 checked tested

checked:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

tested:
	$(BIN)/pytest -n 4 --dist worksteal

bench: $(STAMP) $(BENCH_STAMP)
	$(BIN)/python -m benchmarks

# Ten minutes of streams, and whether memory stays as it is.
soak: $(STAMP)
	$(BIN)/python -m benchmarks.soak

# A real Apache Kafka on 127.0.0.1:9092 where Java and Maven are there, else Tansu.
kafka: $(STAMP)
	$(BIN)/python -m tests.support.kafka

# Re-made when the lock or the project's settings change; a second run finds it and does nothing.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Magnet needs Python 3.11 or newer; say which with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing requirements.lock into $(VENV), once: about 1.2 GB, a few minutes in which nothing is printed"
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

# What the benchmarks compare with lives apart: it wants other versions of what we use too.
$(BENCH_STAMP): benchmarks/requirements.lock | $(STAMP)
	test -x $(BENCH)/bin/python || $(BIN)/python -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --no-deps --require-hashes --requirement benchmarks/requirements.lock
	@touch $(BENCH_STAMP)

lock: $(STAMP)
	$(COMPILE) --extra dev --output-file requirements.lock pyproject.toml
	$(COMPILE) --output-file benchmarks/requirements.lock benchmarks/requirements.in

clean:
	rm -rf $(VENV) $(BENCH) build .kafka *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
