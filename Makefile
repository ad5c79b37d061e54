# Everything a contributor or CI runs. `make demo` and `make test` set up `.venv`
# themselves; after that they work offline.
#
#   make demo                    the main job, end to end
#   make test                    everything that must be green
#   make test PYTHON=python3.13  the same with another interpreter
#   make docs                    the documentation, into build/docs
#   make package                 what is uploaded: built, checked, installed and tried
#   make faults                  breaks stores in every way there is; docs/reliability.rst
#   make bench                   how fast it is, as ratios; draws docs/saving.svg

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One worker per core; TensorFlow needs about 1 GB in each.
WORKERS ?= auto

# TensorFlow's build for CPUs is enough, where there is one.
TENSORFLOW := $(shell $(PYTHON) -c 'import platform, sys; print("tensorflow-cpu" \
  if sys.platform != "darwin" and platform.machine() in ("x86_64", "AMD64") \
  else "tensorflow")')

export TF_CPP_MIN_LOG_LEVEL := 3
export TF_ENABLE_ONEDNN_OPTS := 0

.PHONY: demo test lint types unit unit-jax test-backends test-torch test-oldest docs package faults bench clean

# The environment is made anew when setup.cfg changed or when another interpreter is
# asked for, and is otherwise left alone.
PYTHON_TAG := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
STAMP := $(VENV)/.installed-$(PYTHON_TAG)

$(STAMP): setup.cfg
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# What only the benches need is not installed for the others.
BENCH_STAMP := $(VENV)/.bench-$(PYTHON_TAG)

$(BENCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	touch $@

# PyTorch's build for CPUs alone is taken where the pinned release has one.
TORCH_STAMP := $(VENV)/.torch-$(PYTHON_TAG)

$(TORCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet torch==2.13.0
	touch $@

# The oldest Keras that setup.cfg allows, in an environment of its own.
OLDEST := $(VENV)-oldest
OLDEST_STAMP := $(OLDEST)/.installed-$(PYTHON_TAG)

$(OLDEST_STAMP): Makefile
	$(PYTHON) -m venv --clear $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --upgrade pip
	$(OLDEST)/bin/python -m pip install --quiet keras==3.10.0 python-dateutil==2.9.0 \
	  'tensorflow-cpu==2.20.*' jax scikit-learn pytest pytest-xdist hypothesis
	touch $@

demo: $(STAMP)
	$(BIN)/python demo/digits.py

test: lint types unit unit-jax

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy keras_versioned_ckpt

# Coverage is that of the pure layers, by the tests that need no Keras; the others would
# take longer, and run most of what they test in processes of their own.
KERAS := ^ *import keras$$|^from (\.|tests\.)(zoo|training|interrupted|documents)
PURE := $(shell grep -LE '$(KERAS)|^from faults|nbclient|sphinx|strace' tests/test_*.py)
# And those of files that need none, whose tests do.
PURE += $(addprefix tests/test_,bad_input.py description.py telling.py)
OTHERS := $(filter-out $(PURE),$(wildcard tests/test_*.py)) tests/backends tests/hostile
PYTEST := -m pytest -n $(WORKERS) --dist worksteal --durations 5

unit: $(STAMP)
	$(BIN)/python $(PYTEST) --cov --cov-report term $(PURE)
	$(BIN)/python $(PYTEST) $(OTHERS)

# What depends on the backend, once more on another one. TensorFlow has run in `unit`.
PYTEST_BACKENDS := $(PYTEST) tests/backends

unit-jax: $(STAMP)
	KERAS_BACKEND=jax $(BIN)/python $(PYTEST_BACKENDS)

test-backends: test-torch test-oldest

test-torch: $(TORCH_STAMP)
	KERAS_BACKEND=torch $(BIN)/python $(PYTEST_BACKENDS) -m "not slow"

test-oldest: $(OLDEST_STAMP)
	PYTHONPATH=. KERAS_BACKEND=jax $(OLDEST)/bin/python $(PYTEST_BACKENDS) -m "not slow"
	PYTHONPATH=. KERAS_BACKEND=tensorflow $(OLDEST)/bin/python $(PYTEST_BACKENDS) \
	  tests/test_callback.py tests/test_saving.py tests/test_loading.py

docs: $(STAMP)
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs

# The wheel is built from the source distribution, and installed where nothing else is.
CLEAN := $(CURDIR)/build/clean

package: $(STAMP)
	rm -rf build dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	$(PYTHON) -m venv --clear $(CLEAN)
	$(CLEAN)/bin/python -m pip install --quiet --upgrade pip
	$(CLEAN)/bin/python -m pip install --quiet dist/*.whl $(TENSORFLOW) mypy
	mkdir $(CLEAN)/empty
	cp tests/packaging/usage.py $(CLEAN)/empty
	cd $(CLEAN)/empty && $(CLEAN)/bin/python -m mypy --strict usage.py
	cd $(CLEAN)/empty && $(CLEAN)/bin/python $(CURDIR)/tests/packaging/readme.py \
	  $(CURDIR)/README.rst

# As root, so that power can be cut; needs strace, mkfs.ext4 and mkfs.xfs.
faults: $(STAMP)
	$(BIN)/python -m faults --write docs/reliability.rst
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m long tests

bench: $(BENCH_STAMP)
	$(BIN)/python benchmarks/plan.py
	$(BIN)/python benchmarks/store.py
	$(BIN)/python benchmarks/saving.py
	$(BIN)/python benchmarks/resuming.py

clean:
	rm -rf $(VENV) $(OLDEST) build dist *.egg-info .coverage* .hypothesis .mypy_cache .ruff_cache
