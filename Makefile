# `make chat` chats, `make test` runs the whole gate. Both set up .venv themselves.

PYTHON ?= python3
# .venv belongs to the Python that made it; another version's libraries go into a folder of their own.
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
MADE_BY := $(shell sed -n 's/^version[a-z_]* *= *\([0-9]*\.[0-9]*\).*/\1/p' .venv/pyvenv.cfg 2>/dev/null)
VENV := $(if $(filter-out $(VERSION),$(MADE_BY)),.venv-$(VERSION),.venv)
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help chat test pictures docs format bench model clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Only what chatting needs: no torch. llama.cpp is compiled the first time (some minutes).
$(VENV)/.chat: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "chatapp needs Python 3.11 or newer; say which: make PYTHON=python3.12 chat")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV); the first time llama.cpp is compiled, which takes some minutes."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.chat
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

chat: $(VENV)/.chat ## chat with the built-in model
	@$(BIN)/chatapp

# Threads that wait must not spin: the tests run side by side.
test: export GOMP_SPINCOUNT = 3000
test: $(VENV)/.test ## format, lint, types, import contracts, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.models
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --max-worker-restart 2 --dist loadfile

pictures: $(VENV)/.test ## take the pictures of the README anew
	$(BIN)/python -m bench.pictures

docs: $(VENV)/.test ## write the tables of keys and commands anew
	$(BIN)/python -m tests.architecture.tables

format: $(VENV)/.test ## format the code and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.test ## measure; see bench/README.md
	$(BIN)/python -m bench.decode
	$(BIN)/python -m bench.startup
	$(BIN)/python -m bench.markdown
	$(BIN)/python -m bench.drawing
	$(BIN)/python -m bench.screen
	$(BIN)/python -m bench.long
	$(BIN)/python -m bench.stop
	$(BIN)/python -m bench.convert
	$(BIN)/python -m bench.headers
	$(BIN)/python -m bench.fit --quick
	$(BIN)/python -m bench.first_run

# What the built-in model learns from, its training, its file, and questions that it never saw. An
# interrupted run goes on where it was.
GUIDE := chatapp/builtin/recipe/guide
HELDOUT := $(addprefix tests/guide/,heldout.jsonl heldout_zh.jsonl beyond.jsonl)

$(GUIDE)/made/guide.jsonl: $(wildcard $(GUIDE)/*.py $(GUIDE)/*.toml $(GUIDE)/questions/*) $(HELDOUT) $(VENV)/.test
	$(BIN)/python -m chatapp.builtin.recipe.guide.ranker --apart $(HELDOUT)
	$(BIN)/python -m chatapp.builtin.recipe.guide.compose $(@D) --apart $(HELDOUT)

$(GUIDE)/made/balance.jsonl: $(GUIDE)/made/guide.jsonl
	$(BIN)/python -m chatapp.builtin.recipe.guide.balance $< $@ --apart $(HELDOUT)

model: $(GUIDE)/made/balance.jsonl ## train and convert the built-in model anew
	$(BIN)/chatapp train $(GUIDE)/recipe.toml --out .train/guide --resume
	if [ .train/balanced/ckpt.pt -nt .train/guide/ckpt.pt ]; then \
		$(BIN)/chatapp train resume .train/balanced; \
	else \
		rm -rf .train/balanced && $(BIN)/chatapp train finetune .train/guide $< \
			--out .train/balanced --steps 350 --batch 6144 --learning-rate 3e-4; \
	fi
	$(BIN)/chatapp convert .train/balanced --output .train/model.gguf -q Q8_0 --force \
		--name "chatapp built-in" --license MIT \
		--parity-text chatapp/builtin/recipe/data/heldout.txt
	$(BIN)/python -m bench.guide ask .train/model.gguf $(HELDOUT)
	cp .train/model.gguf chatapp/builtin/model.gguf

clean: ## remove what was set up and built
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
