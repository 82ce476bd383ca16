# What CI runs is what a person runs: these words.

VENV := target/venv
PYTHON := $(VENV)/bin/python
RECORDS := 100000
KILLS := 10
DELIVERY := at-least-once
REPEATS := 3
QUICK :=
OUT :=
SECONDS := 8
MINUTES := 5
SWAPS := 30
HANDLERS := 1000
TENANTS := 100
ONLY :=
# Most of the time is spent waiting for what a broker or a host takes its time for.
WORKERS := 3

stage = @printf '\n\033[1m==> %s\033[0m\n' $(1)

.DEFAULT_GOAL := help
.PHONY: help demo test check guests build whole-way with-faults kill-run soak bench isolation scale swap-run tools clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: ## build, start an embedded broker, and see a dozen requests on their way
	@.ci/needs cargo perl cc wasm32-wasip2
	cargo build --locked
	$(MAKE) -C guest-examples rust
	@guest-examples/demo

test: ## everything: lints, guests, core, components, and the whole way on a real Apache Kafka
	@.ci/needs cargo perl cc wasm32-wasip2 python3 npm
	$(call stage,'Apache Kafka for the tests')
	@[ -n "$$CALLGATE_TEST_BOOTSTRAP" ] || python3 tests/kafka/broker.py fetch
	$(call stage,'Formatting and lints')
	$(MAKE) check
	$(call stage,'Guests in all languages')
	$(MAKE) guests
	$(call stage,'Core and components')
	cargo test --workspace --locked
	$(call stage,'The whole way')
	$(MAKE) whole-way

check: ## formatting, lints, licences and sources of dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@.ci/deny

guests: ## the example handlers, in every language
	$(MAKE) -C guest-examples all

build:
	cargo build --locked

with-faults: ## the host with faults planted in it, which the checker must find
	cargo build --locked --package callgate --features planted-faults --bin callgate-with-faults

whole-way: build with-faults guests $(VENV) ## records in, replies and dead letters out; ONLY='-k retry' for some of it
	$(PYTHON) tests/compiled.py
	$(PYTHON) -m pytest -c tests/pytest.ini tests/whole_way --numprocesses $(WORKERS) --dist loadfile $(ONLY)

kill-run: build guests $(VENV) ## RECORDS=100000 with KILLS=10 of the host, and a count of what came of them
	$(PYTHON) tests/kill_run.py --records $(RECORDS) --kills $(KILLS) --delivery $(DELIVERY)

soak: MINUTES := 30
soak: build guests $(VENV) ## four hosts on three brokers, faults all the time: MINUTES=30 ORDERING=key RATE=700 SEED=1
	$(PYTHON) tests/soak.py --minutes $(MINUTES) $(if $(ORDERING),--ordering $(ORDERING)) $(if $(RATE),--rate $(RATE)) \
		$(if $(SEED),--seed $(SEED))

bench: guests $(VENV) ## the host beside its limits and what people do today: ONLY=side-by-side QUICK=1 OUT=docs/figures
	PYTHONPATH=tests $(PYTHON) -m bench --only '$(ONLY)' $(if $(QUICK),--scale quick) $(if $(OUT),--out $(OUT))

isolation: guests $(VENV) ## one tenant beside another that misbehaves: ONLY=spin,trap SECONDS=8 REPEATS=3
	$(PYTHON) tests/isolation.py --only '$(ONLY)' --seconds $(SECONDS) --repeats $(REPEATS)

scale: guests $(VENV) ## HANDLERS=1000 of TENANTS=100 in one host: how long it takes to start, and what it holds
	$(PYTHON) tests/scale_run.py --handlers $(HANDLERS) --tenants $(TENANTS)

swap-run: guests $(VENV) ## SWAPS=30 new versions a minute for MINUTES=5 while records flow, beside none
	$(PYTHON) tests/swap_run.py --minutes $(MINUTES) --swaps $(SWAPS)

tools: ## cargo-deny, which `check` uses where it is there
	cargo install --locked --debug cargo-deny@0.20.2

clean: ## remove everything that was built
	cargo clean
	$(MAKE) -C guest-examples clean

$(VENV): tests/requirements.txt
	@.ci/needs python3
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement tests/requirements.txt
	@touch $(VENV)
