# visionsim: `make demo` and `make test` are all a newcomer needs; `make help` lists the rest.

PYTHON ?=
VENV ?= .venv
READERS ?= .venv-readers
TESTS ?=
# Asked for only where a recipe needs it, so that a missing Python is reported in one sentence.
FOUND = $$(sh scripts/find-python $(PYTHON))

# Tests start hundreds of processes: what they import is compiled once, not in each of them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check readers readers-exports readers-torch bench proof proof-docs venv clean

help:
	@echo "make demo    install into $(VENV) and render a small dataset of every kind from scenes/"
	@echo "make test    install into $(VENV) and run all tests, with real renders"
	@echo "make check   formatting, lint, types, tests"
	@echo "make readers  prove that others' own readers open what is exported (2 GB)"
	@echo "make bench   measure speed and memory (an hour)"
	@echo "make proof   print how exact the ground truth is, in every supported Blender (some minutes, 1.5 GB)"
	@echo "make proof-docs   write that, and what Blender's own passes hold, into docs/"
	@echo "make clean   remove $(VENV) and what demo made"
	@echo "PYTHON=...   choose the Python: 3.13 (Blender 5.2) or 3.11 (Blender 5.0)"

venv:
	@found=$(FOUND) && sh scripts/make-venv "$$found" "$(VENV)"

demo: venv
	@$(VENV)/bin/python scripts/demo.py demo

test: venv
	VISIONSIM_REQUIRE_BLENDER=1 $(VENV)/bin/python -m pytest -n 4 --dist loadfile $(TESTS)

check: venv
	PATH="$(abspath $(VENV))/bin:$$PATH" sh scripts/check

# Both at once: one thread each.
readers:
	@found=$$(sh scripts/find-python 3.11) && sh scripts/make-readers "$$found" "$(READERS)"
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target readers-exports readers-torch

# Plugins are named: one that came with a reader makes pytest warn, which is an error here.
readers-exports:
	VISIONSIM_REQUIRE_READERS=1 VISIONSIM_NERFSTUDIO_PYTHON="$(abspath $(READERS)-nerfstudio)/bin/python" \
	    PYTHONPATH="$(CURDIR)" PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 \
	    $(READERS)/bin/python -m pytest -p pytest_timeout $(or $(TESTS),tests/exports tests/docs/test_exporting_labels.py)

readers-torch:
	VISIONSIM_REQUIRE_READERS=1 PYTHONPATH="$(CURDIR)" PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 \
	    $(READERS)-nerfstudio/bin/python -m pytest -p pytest_timeout tests/dataset/test_torch.py

bench: venv
	@$(VENV)/bin/python scripts/bench.py

proof: venv
	@sh scripts/prove "$(VENV)" error_table.py

proof-docs: venv
	sh scripts/prove "$(VENV)" error_table.py --markdown > docs/error-table.md
	sh scripts/prove "$(VENV)" measure_blender.py > docs/blender-passes.md

clean:
	rm -rf $(VENV) $(VENV)-bpy-* $(READERS) $(READERS)-nerfstudio demo
