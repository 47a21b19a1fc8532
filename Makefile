# Everything a person types. `make run` serves the demo, `make test` proves it.
PY := .venv/bin/python
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
MAKEFLAGS += --no-print-directory
# Many tests wait for processes and browsers, so one more than there are processors.
BESIDE ?= -n $(shell expr $$(nproc) + 1) --dist loadscope --no-loadscope-reorder
# Every process of a run would compile every file of ours again.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: bench-cur fuzz-roster bench-claim bench-traces bench-sweep bench-dashboard run demo-reset test lint types fmt migrations clean
.PHONY: identity-provider test-tls

run: .venv/demo-ready
	@$(PY) -m demo.launcher

demo-reset: .venv/demo-ready
	@$(PY) -m demo.reset

test: .venv/ready
	@# The walk mostly waits, and needs no database of its own: the others run beside it, some at a time. What measures
	@# real processes by the clock comes last: a machine's in one line, beside it simulated AWS in another.
	@$(PY) -m pytest tests/walk & walk=$$!; $(PY) -m pytest --ignore=tests/walk -m "not alone" $(BESIDE); others=$$?; \
		wait $$walk && [ $$others = 0 ] && $(PY) -m pytest tests/cloud tests/machine -m alone -n 2 --dist loadscope

test-tls: .venv/ready
	@LAMPLIGHTER_TEST_NGINX=1 $(PY) -m pytest tests/tls

lint: .venv/ready
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .

types: .venv/ready
	@$(PY) -m mypy .

fmt: .venv/ready
	@$(PY) -m ruff check --fix . ; $(PY) -m ruff format .

fuzz-roster: .venv/ready
	@FUZZ_FILES=$${FUZZ_FILES:-10000} $(PY) -m pytest -q --timeout=1800 tests/courses/test_roster_fuzz.py

bench-claim: .venv/ready
	@$(PY) -m benchmarks.claim

bench-traces: .venv/ready
	@$(PY) -m benchmarks.traces "$(TRACES)"

.PHONY: bench-launch
bench-launch: .venv/ready
	@N="$(N)" $(PY) -m benchmarks.launch

.PHONY: storm
storm: .venv/ready
	@STORM_STUDENTS=1000 $(PY) -m pytest -q tests/spend/test_alarming.py -k crowd

# Random histories of clicks, faults and deaths, each set from its own seed, one set for each processor.
.PHONY: chaos
chaos: .venv/ready
	@each=$$(( $${HISTORIES:-5000} / $$(nproc) )); for n in $$(seq $$(nproc)); do \
		LAMPLIGHTER_TEST_SEED=$$n LAMPLIGHTER_TEST_HISTORIES=$$each env -u DATABASE_URL \
		$(PY) -m pytest -q tests/instances/test_any_history.py & sets="$$sets $$!"; done; \
		for one in $$sets; do wait $$one || failed=1; done; exit $${failed:-0}

bench-cur: .venv/ready
	@$(PY) -m benchmarks.cur

bench-sweep: .venv/ready
	@N=$(N) $(PY) -m benchmarks.sweep

.PHONY: bench-reports
bench-reports: .venv/ready
	@N="$(N)" $(PY) -m benchmarks.reports

.PHONY: attack
attack: .venv/ready
	@SECONDS="$(SECONDS)" $(PY) -m benchmarks.attack

.PHONY: bench-semester
bench-semester: .venv/ready
	@$(PY) -m benchmarks.semester
# A certified OpenID provider that is not ours, for the tests of sign-in; needs node.
identity-provider: var/identity-provider/node_modules/oidc-provider

var/identity-provider/node_modules/oidc-provider:
	@mkdir -p var/identity-provider && npm install --prefix var/identity-provider --no-save --no-fund --no-audit --silent oidc-provider@9.13.3

bench-dashboard: .venv/ready
	@$(PY) -m benchmarks.dashboard

# After a change of what pages say; needs gettext. What is new stands in English until somebody translates it.
.PHONY: messages
messages: .venv/ready
	@LAMPLIGHTER_DEMO=1 $(PY) manage.py makemessages -l zh_Hans --no-wrap --no-location --ignore=.venv --ignore=var
	@LAMPLIGHTER_DEMO=1 $(PY) manage.py compilemessages --ignore=.venv

migrations: .venv/ready
	@LAMPLIGHTER_DEMO=1 $(PY) manage.py makemigrations

# Two stamps: the demo starts sooner without what only tests need.
.venv/demo-ready: requirements.txt requirements-demo.txt | .venv/bin/python
	@$(MAKE) packages FROM=requirements-demo.txt && touch $@

.venv/ready: requirements.txt requirements-demo.txt requirements-dev.txt | .venv/bin/python
	@$(MAKE) packages FROM=requirements-dev.txt && touch .venv/demo-ready $@

.venv/bin/python:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Python 3.11 or newer is needed as python3."; exit 1; }
	@python3 -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv is missing. Debian/Ubuntu: apt install python3-venv"; exit 1; }
	@python3 -m venv .venv || { rm -rf .venv; echo "The virtual environment .venv could not be made (no space left?)."; exit 1; }

.PHONY: packages
# By uv in seconds; where uv cannot be had, or the packages' index is named in pip's own settings, by pip in minutes.
packages:
	@echo "Installing packages into .venv (once) ..."
	@.venv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9 \
		&& .venv/bin/uv pip install --python .venv/bin/python -r $(FROM) 2> >(grep -v '^ + ' >&2) \
		|| .venv/bin/pip install --disable-pip-version-check -r $(FROM) \
		|| { echo "The packages could not be installed: see above (no network, or no space left?)."; exit 1; }

clean:
	rm -rf .venv var
