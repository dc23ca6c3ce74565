# `make` alone prints this help. Every target sets up what it needs by itself.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
BUILD := .cache/build

.PHONY: fetched help setup demo test test-long test-city check bench wheel clean

help: ## print this help
	@echo "Safe Mahalla edge agent. Two commands do everything on a fresh machine:"
	@echo "  make demo    real clips -> faces and vehicles -> MQTT events in this terminal"
	@echo "  make test    the whole test suite"
	@echo; grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY) fetched ## .venv with everything (.venv/bin/mahalla) and the models

demo: setup ## the main job on real clips with an embedded broker; SECONDS=N stops by itself
	@$(BIN)/mahalla demo $(if $(SECONDS),--seconds $(SECONDS))

test: setup ## every test (ARGS="-k name" for some)
	$(BIN)/python -m pytest $(ARGS)

test-long: setup ## the faults that take minutes: a hundred power cuts, the waits as they are shipped
	$(BIN)/python -m pytest -m long $(ARGS)

test-city: setup ## three RabbitMQ nodes, killed under load; root's rights, debootstrap, five minutes or so
	tests/city/root.sh .cache/city/root
	$(BIN)/python -m pytest -m city -rP tests/city $(ARGS)

check: setup ## format, lint, strict types, import layers, then the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest $(ARGS)

bench: setup ## speed, memory, start-up, card, line, cameras at rest, missed passers: ratios (hours)
	$(BIN)/python tests/bench/bench.py $(ARGS)
	$(BIN)/python tests/bench/bench_outbox.py
	$(BIN)/python tests/bench/bench_link.py
	$(BIN)/python tests/bench/bench_memory.py
	$(BIN)/python tests/bench/bench_gate.py
	$(BIN)/python tests/bench/bench_busy.py

wheel: $(BUILD)/ready ## dist/mahalla_agent-*.whl
	rm -rf dist
	$(BUILD)/bin/python -m hatchling build -t wheel

clean: ## remove what the other targets made (downloads too)
	rm -rf .venv .cache dist build

# Stamps, so that the second call costs nothing.
.venv/tools: deploy/locks/dev.lock deploy/make-venv.sh
	@deploy/make-venv.sh "$(PYTHON)" .venv deploy/locks/dev.lock
	@touch $@

$(READY): pyproject.toml .venv/tools
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# The box builds its wheel too, and needs none of the tools above for that.
$(BUILD)/ready: deploy/locks/build.lock deploy/make-venv.sh
	@deploy/make-venv.sh "$(PYTHON)" $(BUILD) deploy/locks/build.lock
	@touch $@

# Each time: what is there with the right hash is left alone, what is damaged is mended.
fetched: $(READY)
	@$(BIN)/python models/fetch.py --clips .cache/clips
