SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules
.NOTPARALLEL:

bin := .venv/bin
pytest := $(bin)/pytest -q
workers := -n 2 --dist loadfile
go_modules := $(patsubst %/go.mod,%,$(wildcard node/go.mod tests/*/*/go.mod bench/*/go.mod))
beside_dockerd := $(if $(filter 0,$(shell id -u)),node/with-dockerd.sh)
fast := --ignore=tests/system --ignore=tests/drills
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

# A drill: make drill NAME=main-job SEED=7 SCALE=0.05
drill_options := $(if $(SEED),--seed $(SEED)) $(if $(SCALE),--scale $(SCALE))

##@ Use

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

.PHONY: setup
setup: ## make the clone ready to be run and tested
	@tools/setup.sh dev node web debian

.PHONY: run
run: ## the demo on this machine: pages, API, workers, scheduler and three nodes that really relay
	@tools/setup.sh run node web
	@$(bin)/derpman run --demo

##@ Test

.PHONY: test
test: ## everything; what CI runs (root and Debian for the whole of it)
	@tools/setup.sh dev node web debian
	@tools/stages.sh check test-mysql test-postgres test-go test-web test-system drills

.PHONY: check
check: check-format check-lint check-types check-imports check-locks check-deps check-migrations check-generated check-secrets check-audit check-go check-web test-unit ## the fast half: format, lint, types, layers, generated files, tests on SQLite

.PHONY: ready
ready:
	@tools/setup.sh dev

.PHONY: test-unit
test-unit: ready ## unit, service and route tests on SQLite
	$(pytest) $(workers) $(fast)

.PHONY: test-mysql
test-mysql: ready ## the same tests on a private MariaDB
	$(bin)/python -m tests.system.services mysql $(pytest) $(workers) $(fast)

.PHONY: test-postgres
test-postgres: ready ## migrations, verbs and services on a private PostgreSQL
	$(bin)/python -m tests.system.services postgres $(pytest) $(workers) $(fast) --ignore-glob='*routes*.py'

.PHONY: test-go
test-go: ready ## the node's tests, with real derper and, as root, a private dockerd
	@tools/setup.sh node debian
	@tools/go -C node mod download
	DERPMAN_DERPER=$(CURDIR)/build/derper $(beside_dockerd) tools/go -C node test -count=1 -p 1 ./...

.PHONY: test-web
test-web: ready ## the web pages in a real browser: stories, pictures, axe, a large installation
	@tools/setup.sh node debian
	@WEB=needed tools/setup.sh web
	@$(bin)/python -m tests.system.website npm --prefix web run --silent e2e
	@$(bin)/python -m tests.system.crowded npm --prefix web run --silent e2e

.PHONY: test-system
test-system: ready ## tests on the fleet: real servers, relays, clients and services (root)
	@tools/setup.sh node debian
	$(pytest) $(workers) tests/system

.PHONY: drill
drill: ready ## list the drills, or run one: NAME=main-job SEED=7 SCALE=0.05
	@tools/setup.sh $(if $(NAME),node debian,dev)
	@$(bin)/python -m tests.drills $(NAME) $(if $(NAME),$(drill_options))

.PHONY: drills
drills: ready ## every drill in short form (root)
	@tools/setup.sh node debian
	@$(bin)/python -m tests.drills --all --scale $(or $(SCALE),0.05)

.PHONY: bench
bench: ready ## measure the figures of the design (root)
	@tools/setup.sh node debian
	@WEB=needed tools/setup.sh web
	@$(bin)/python -m bench

##@ Checks, one by one

.PHONY: check-format
check-format: ready ## code is formatted
	$(bin)/ruff format --check --quiet

.PHONY: check-lint
check-lint: ready ## lint rules hold
	$(bin)/ruff check --quiet

.PHONY: check-types
check-types: ready ## types fit (strict in derpman/)
	$(bin)/pyright

.PHONY: check-imports
check-imports: ready ## modules import downwards only
	$(bin)/lint-imports

.PHONY: check-locks
check-locks: ready ## the locks follow pyproject.toml
	$(bin)/python tools/lock.py --check

.PHONY: check-deps
check-deps: ready ## declared dependencies are used, used ones are declared
	$(bin)/deptry derpman

.PHONY: check-migrations
check-migrations: ready ## the migrations lead to what the models say
	$(bin)/python tools/generate.py --check-migrations

.PHONY: check-generated
check-generated: ready ## openapi.json, docs/states.md and docs/settings.md are fresh
	$(bin)/python tools/generate.py --check

.PHONY: check-secrets
check-secrets: ready ## no file of the repository has what looks like a secret
	$(bin)/python tools/secretscan.py

.PHONY: check-audit
check-audit: ready ## no locked dependency has a known flaw (says so where OSV cannot be asked)
	$(bin)/python tools/audit.py

.PHONY: check-go
check-go: ready ## Go code is formatted and vetted
	@unformatted=$$("$$(tools/go env GOROOT)/bin/gofmt" -l $(go_modules)); \
	  [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted"; exit 1; }
	@for module in $(go_modules); do echo "go vet $$module"; tools/go -C $$module vet ./...; done

.PHONY: check-web
check-web: ready ## the web pages: types, format, lint, texts in both languages, weight of the first load
	@tools/setup.sh web
	@if [ -d web/node_modules ]; then npm --prefix web run --silent check; \
	  else echo "check-web: left out, Node.js 20 is missing"; fi
	@$(pytest) tests/web

##@ Tend

.PHONY: fmt
fmt: ready ## format all code
	$(bin)/ruff format
	$(bin)/ruff check --fix --quiet
	"$$(tools/go env GOROOT)/bin/gofmt" -w $(go_modules)
	@[ ! -d web/node_modules ] || npm --prefix web run --silent format

.PHONY: openapi
openapi: ready ## write openapi.json
	$(bin)/python tools/generate.py openapi.json

.PHONY: docs
docs: ready ## write docs/states.md, docs/settings.md, docs/permissions.md and .env.example
	$(bin)/python tools/generate.py docs/states.md docs/settings.md docs/permissions.md .env.example

.PHONY: migration
migration: ready ## write a migration from changed models: NAME="count devices"
	@$(bin)/python tools/migration.py $(NAME)
	@$(bin)/ruff format --quiet derpman/migrations
	@$(bin)/ruff check --fix --quiet derpman/migrations

.PHONY: lock
lock: ready ## resolve the dependencies again, within pyproject.toml
	$(bin)/python tools/lock.py

.PHONY: clean
clean: ## remove what was built; .venv and data stay
	rm -rf build dist web/dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find derpman tests bench tools -name __pycache__ -type d -prune -exec rm -rf {} +
