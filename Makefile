# Two commands matter:  make course  and  make test.  `make` alone lists the rest.
#
# Every path below is relative, so the repository may lie in a folder with spaces in its name.

PYTHON  ?= python3
PROFILE ?= laptop
DATA    ?=
OUTPUT  ?=
ARGS    ?=
WORKERS ?= 2

VENV  := .venv
PY    := $(VENV)/bin/python
STAMP := $(VENV)/.installed

COURSE_ARGS = --profile "$(PROFILE)" $(if $(DATA),--data "$(DATA)") $(if $(OUTPUT),--output "$(OUTPUT)") $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help course test lab lint format bench table notebooks clean

help:
	@echo "make course   run the five chapters (PROFILE=laptop); README.md says how long it takes"
	@echo "              PROFILE=smoke            a few minutes, to see that everything works"
	@echo "              PROFILE=night            an hour or more: makes the encoders of data/weights anew"
	@echo "              PROFILE=paper DATA=DIR   real photographs and a GPU"
	@echo "              OUTPUT=runs/NAME         where the executed chapters go"
	@echo "              ARGS=\"--chapters 3,4\"    or --appendices or --resume; see ARGS=--help"
	@echo "make test     the whole test suite (ARGS=\"tests/test_camera.py -x\" for a part; WORKERS=2 processes)"
	@echo "make lab      open the chapters in JupyterLab"
	@echo "make lint     ruff check and format check; make format fixes what it can"
	@echo "make bench    a table of speed and memory, 6 to 12 minutes (ARGS=\"render_hands\" for a part)"
	@echo "make table    the label-fraction table over three seeds; hours, resumable"
	@echo "make notebooks  run the committed chapters and appendices again, in place, after changing one"
	@echo "make clean    remove caches and build leftovers; keeps $(VENV) and runs/"
	@echo "The first of them makes $(VENV) with $(PYTHON); choose another by PYTHON=python3.12."

course: $(STAMP)
	@$(PY) -m peclr_utils.course $(COURSE_ARGS)

test: $(STAMP)
	$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lab: $(STAMP)
	$(PY) -m jupyterlab notebooks

lint: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: $(STAMP)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(STAMP)
	$(PY) tests/benchmarks/run.py $(ARGS)

table: $(STAMP)
	$(PY) -m peclr_utils.experiments.label_fractions $(ARGS)

notebooks: $(STAMP)
	$(PY) -m peclr_utils.course --refresh $(ARGS)

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name $(VENV) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +

# Made once, and again only when pyproject.toml has changed. A virtual environment whose Python still runs is kept.
$(STAMP): pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { \
		echo "There is no '$(PYTHON)' here. Install Python 3.11 or newer, or name one: make ... PYTHON=python3.12"; \
		exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "This needs Python 3.11 or newer; '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1)."; \
		echo "Name another one: make ... PYTHON=python3.12"; \
		exit 1; }
	@if $(PY) -c pass 2>/dev/null; then \
		echo "Updating $(VENV): pyproject.toml has changed."; \
	else \
		echo "Making $(VENV) with $$("$(PYTHON)" --version 2>&1)."; \
		"$(PYTHON)" -m venv --clear $(VENV) || { \
			echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu: apt install python3-venv"; exit 1; }; \
	fi
	@echo "Installing the package and what it needs. The first time that is PyTorch: minutes, and gigabytes on Linux"
	@echo "(without a GPU, PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu makes it much smaller)."
	@$(PY) -m pip install --disable-pip-version-check -e '.[dev]'
	@touch $(STAMP)
