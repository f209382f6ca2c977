# One command per purpose, on a machine that has Python 3.11 or newer (with headers), gcc and make.
#   make demo    invert a sounding, and seismic waves; draw both      make bench   time against the installed peers
#   make test    all tests                                           make lint    ruff and cython-lint
#   make wheel   one wheel for this machine, tested where there is no checkout; prints its size
#   make nist    the table of NIST's certified fits, docs/nist.md
#   make performance    the same with PyTorch, one thread and two, AVX2; writes docs/performance.md (ten minutes)
# Everything lives in .venv; stamps in there remember what is installed and built.  What is compiled, and how: setup.py.

VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check --quiet
JOBS   ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -gt 4 ] && echo 4 || echo $$n)

# The first interpreter that really runs (a pyenv shim may not), is new enough, and can make an environment and compile.
USABLE := import sys, os, venv, ensurepip, sysconfig; \
          sys.exit(sys.version_info < (3, 11) or not os.path.exists(sysconfig.get_path("include") + "/Python.h"))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
            if $$p -c '$(USABLE)' >/dev/null 2>&1; then echo $$p; break; fi; done)

SOURCES := setup.py $(wildcard fastad/*.pyx fastad/*.pxd fastad/*.pxi fastad/_kernels/*)
BUILT   := $(VENV)/.built$(if $(filter-out 0,$(FASTAD_DEBUG)),-debug)

.PHONY: demo test bench performance nist wheel lint build clean
.DELETE_ON_ERROR:

demo: $(VENV)/.with-plot $(BUILT)
	@mkdir -p docs
	$(PY) examples/resistivity_sounding.py --output docs/resistivity_sounding.png $(ARGS)
	$(PY) examples/fwi/invert.py --small --output docs/full_waveform_inversion.png

test: $(VENV)/.with-test $(BUILT)
	$(PY) -m pytest -n $(JOBS) --dist worksteal --timeout 300 $(ARGS)

bench: $(VENV)/.with-bench $(if $(TORCH),$(VENV)/.with-bench-torch) $(BUILT)
	$(PY) -m benchmarks $(ARGS)

nist: $(BUILT)
	$(PY) -m tests.nist

# `make bench TORCH=1` installs PyTorch, too (gigabytes where pip takes its CUDA build); one that is there is used anyhow.
performance: $(VENV)/.with-bench $(VENV)/.with-bench-torch $(BUILT)
	$(PY) -m benchmarks --write-docs $(ARGS)

# What cibuildwheel does elsewhere (pyproject.toml), for this machine: the wheel's own files are tested, in a folder that
# has nothing but them and the tests.  What has been compiled already is taken as it is.
WHEEL_TEST := import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["tool"]["cibuildwheel"]["test-command"])
wheel: $(VENV)/.with-test $(BUILT)
	rm -rf dist build/wheel build/lib* build/bdist*
	@for t in build/temp.*; do mkdir -p build/lib.$${t#build/temp.}/fastad; cp -p fastad/*.so build/lib.$${t#build/temp.}/fastad; done
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .
	$(PIP) install --no-deps --target build/wheel dist/fastad-*.whl
	cp -r tests pyproject.toml build/wheel
	cd build/wheel && $(CURDIR)/$(PY) -c 'import fastad, pathlib; assert pathlib.Path(fastad.__file__).is_relative_to(pathlib.Path.cwd())'
	cd build/wheel && export PATH="$(CURDIR)/$(VENV)/bin:$$PATH" && sh -c "`python -c '$(WHEEL_TEST)'`"
	@ls -l dist | awk '/whl/ {printf "%s: %.1f MB\n", $$NF, $$5 / 1e6}'

# Both linters run even if the first complains.  cython-lint calls pycodestyle by name, so it must be on the PATH.
lint: $(VENV)/.with-dev
	@export PATH="$(CURDIR)/$(VENV)/bin:$$PATH"; status=0; \
	ruff check . || status=1; cython-lint fastad || status=1; exit $$status

build: $(BUILT)

# The environment with the build requirements, so that one Cython and one NumPy serve the first and every later build.
$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "fastad needs Python 3.11 or newer with venv and the C headers" \
	  "(Debian, Ubuntu: apt install python3-venv python3-dev); or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  > $(VENV)/build-requirements.txt
	$(PIP) install -r $(VENV)/build-requirements.txt
	@touch $@

# Metadata and the dependencies of an extra; compiling is the next rule's.
$(VENV)/.with-%: pyproject.toml $(VENV)/.created
	FASTAD_SKIP_EXTENSIONS=1 $(PIP) install --no-build-isolation --editable '.[$*]'
	@touch $@

$(BUILT): $(SOURCES) $(VENV)/.created
	$(PY) setup.py --quiet build_ext --inplace
	@rm -f $(VENV)/.built*
	@touch $@

clean:
	rm -rf build dist *.egg-info fastad/*.so fastad/*.c fastad/*.html $(VENV)/.built*
