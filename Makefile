# Each target sets up what it needs: a virtual environment in .venv, made anew when the dependencies change.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
DEMO := demo
DATA ?= ../shared
RESULTS := docs/results
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -p no:benchmark --numprocesses auto --dist loadfile # a process, not a thread, per core

.PHONY: bench benchmark demo evaluate geometry-report panel-benchmark screenshots test test-all check pytest format clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(READY) ## fuse the sample pair, and show it
	$(BIN)/python Testing/demo.py --output $(DEMO)

evaluate: $(READY) ## recompute every table and figure of docs/results from the shipped weights and the images below DATA
	$(BIN)/python -m training.evaluate --data $(DATA) --output $(RESULTS)

geometry-report: $(READY) ## fuse real pairs in all stored orders, turned, moved and resampled: docs/geometry.md
	QT_QPA_PLATFORM=offscreen $(BIN)/python Testing/geometry_report.py --data $(DATA)/data --output docs/geometry.md

benchmark: $(READY) ## time a training step against the straightforward one
	$(BIN)/python -m training.benchmark --output $(RESULTS)/training_step.json

bench: $(READY) ## time fusing against other methods, about 16 minutes: rewrites the tables of docs/benchmarks.md
	mkdir -p $(DEMO)
	DATA=$(DATA) QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest Testing/benchmarks/bench_fusion.py --quiet --benchmark-json=$(DEMO)/bench.json \
		--benchmark-disable-gc --benchmark-warmup=off $(BENCH)
	$(BIN)/python Testing/benchmarks/report.py $(DEMO)/bench.json docs/benchmarks.md

panel-benchmark: $(READY) ## time the import of the module and the opening of its panel, in the stand-in
	QT_QPA_PLATFORM=offscreen $(BIN)/python Testing/benchmark_panel.py

screenshots: $(READY) ## draw the panel and the comparison of the sample pair: leaves PNGs in demo/screenshots
	QT_QPA_PLATFORM=offscreen $(BIN)/python Testing/screenshots.py all $(DEMO)/screenshots

test: check pytest ## what CI runs

test-all: check $(READY) ## the slow tests as well
	$(PYTEST)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=CSpADNFusion:. $(BIN)/lint-imports
	$(BIN)/python Testing/check_cmake.py

pytest: $(READY)
	$(PYTEST) -m 'not slow'

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(DEMO)
