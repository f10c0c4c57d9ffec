# The targets CI calls; anyone can call them too. PYTHON is the interpreter of an environment with .[test,lint].
PYTHON ?= .venv/bin/python

.PHONY: setup fmt check test conformance seeded-bugs merge nightly fuzz wheel

setup:  ## a virtual environment with everything
	python3 -m venv .venv
	.venv/bin/python -m pip install -q -e '.[test,lint]'

fmt:  ## format and fix what can be fixed
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

check:  ## lint and types
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

test:  ## every test that needs no outside server
	$(PYTHON) -m pytest -n auto

seeded-bugs:  ## the tests notice likely mistakes and those they once let pass, each made in a copy of the tree
	$(PYTHON) tests/seeded_bugs.py

merge:  ## simulated lives, kills, signals, disks that fail: what is longer than a push may be
	$(PYTHON) -m tests.sim --seeds 3000
	$(PYTHON) -m tests.sim.two
	$(PYTHON) -m tests.sim.disks --errors
	$(PYTHON) -m tests.benchmarks.damage
	tests/benchmarks/full_disk.sh $(PYTHON)
	$(PYTHON) -m tests.sim.disks --power --jobs 6 --tears 6
	$(PYTHON) tests/benchmarks/kill_loop.py --kills 300
	$(PYTHON) -m tests.benchmarks.signal_phases --phases 40
	$(PYTHON) -m tests.chaos.cells
	$(PYTHON) -m tests.benchmarks.load_held --gap-ms 40
	$(PYTHON) -m tests.render.exhaustion all --bare

nightly:  ## the same for hours, and a run killed at every pair of its effects
	$(PYTHON) -m tests.sim --seeds 50000
	$(PYTHON) -m tests.sim --crash-points --crash-jobs 3
	$(PYTHON) -m tests.sim.soak
	$(PYTHON) -m tests.comfy.mutations --examples 5000000
	$(PYTHON) -m tests.sim.disks --power --jobs 20 --tears 8
	$(PYTHON) tests/benchmarks/kill_loop.py --kills 2000
	$(PYTHON) -m tests.benchmarks.signal_phases --phases 40 --stopped 90 --workers 8
	$(PYTHON) tests/benchmarks/fuzz_spec.py --seconds 600

fuzz:  ## the spec loader under a fuzzer that follows coverage; needs `pip install atheris`
	$(PYTHON) tests/benchmarks/fuzz_spec_guided.py --seconds 600

conformance:  ## make conformance URL=http://127.0.0.1:8188
	$(PYTHON) -m pytest tests/conformance --comfyui-url $(URL)

wheel:  ## dist/animerun-….whl
	$(PYTHON) -m pip wheel -q --no-deps -w dist .
