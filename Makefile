# Every target is listed by `make help`, from the text after "##" beside it.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

GO ?= go
LINT := $(GO) tool -modfile=tools/go.mod golangci-lint
BINARY := bin/muster
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
# Packages tested at the same time: each may start a Postgres, a ClickHouse and a broker of its own.
TEST_PARALLEL ?= 2
# Longest time for the tests of one package; a hang ends with the stacks of all goroutines.
TEST_TIMEOUT ?= 45m
CHAOS_ROUNDS ?= 20
# How often every step is killed at, beside the random kills.
CHAOS_STEPS ?= 1
DAY_CHARACTERS ?= 200
DAY_HOURS ?= 24
DAY_SPEED ?= 120
DAY_FAULTS ?= all
YEAR_CHARACTERS ?= 1000
YEAR_ROWS ?= 24000000
FUZZTIME ?= 1m
# The tests get their engines from the same binary that users run.
TEST_ENV := MUSTER_TEST_BINARY="$(CURDIR)/$(BINARY)"

##@ Using it

.PHONY: help
help: ## List every target
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: build engines ## Start Muster with its engines, the simulators and an example organisation
	exec $(BINARY) up --demo

.PHONY: build
build: ## Build bin/muster, one binary without cgo
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BINARY) ./cmd/muster

.PHONY: engines
engines: ## Fetch the embedded Postgres and ClickHouse once, into a cache folder
	deploy/engines/fetch.sh

.PHONY: engines-kafka
engines-kafka: ## Fetch Apache Kafka for the tests once, needs Maven
	deploy/engines/fetch.sh kafka

.PHONY: assets
assets: ## Fetch what pages load, and the checks of accessibility; the embedded files must be the fetched ones
	cd query/web/assets && npm ci --silent && cp node_modules/@picocss/pico/css/pico.min.css node_modules/htmx.org/dist/htmx.min.js \
		node_modules/htmx-ext-sse/dist/sse.min.js node_modules/uplot/dist/uPlot.iife.min.js node_modules/uplot/dist/uPlot.min.css vendor/
	git diff --exit-code -- query/web/assets/vendor

##@ Working on it

.PHONY: check
check: format vet lint modules shell unit deploy-check dashboards-check ## Everything that needs no engine: format, vet, lint, modules, tests of the domain, what is deployed, dashboards and alerts

.PHONY: test
test: build engines engines-kafka assets ## All tests, race detector on, engines, a real Kafka broker and Chromium required
	$(TEST_ENV) MUSTER_REQUIRE_ENGINES=1 MUSTER_REQUIRE_KAFKA=1 \
		$(GO) test -race -p $(TEST_PARALLEL) -timeout $(TEST_TIMEOUT) ./...

.PHONY: unit
unit: ## The tests of the domain, in seconds
	$(GO) test -short -timeout 2m ./domain/...

.PHONY: dashboards-check
dashboards-check: ## Parse dashboards and rules, look every metric up, try each alert; their SQL is asked by make test
	# What is checked lies outside of that module, where the cache of test results does not look.
	cd deploy/prometheus/check && $(GO) mod verify && $(GO) vet ./... && $(GO) test -count=1 ./...

.PHONY: deploy-check
deploy-check: ## Hold image, composition, chart and units against the programs that read them, as libraries
	cd deploy/test && $(GO) vet ./... && $(GO) test -count=1 -timeout 5m ./...

.PHONY: chaos
chaos: build engines ## Kill every part in random order for CHAOS_ROUNDS rounds, then compare every sum
	$(TEST_ENV) MUSTER_REQUIRE_ENGINES=1 MUSTER_CHAOS_ROUNDS="$(CHAOS_ROUNDS)" MUSTER_CHAOS_STEPS="$(CHAOS_STEPS)" \
		$(GO) test -count=1 -timeout 60m -run '^TestChaos' -v ./cmd/muster

.PHONY: day
day: build engines ## Sync through DAY_HOURS hours of a fast world with faults, then judge every section by what was served
	$(TEST_ENV) MUSTER_REQUIRE_ENGINES=1 MUSTER_DAY_CHARACTERS="$(DAY_CHARACTERS)" MUSTER_DAY_HOURS="$(DAY_HOURS)" \
		MUSTER_DAY_SPEED="$(DAY_SPEED)" MUSTER_DAY_FAULTS="$(DAY_FAULTS)" \
		$(GO) test -count=1 -timeout 120m -run '^TestDayOfSync' -v ./cmd/muster

.PHONY: year
year: build engines ## Fold a year of YEAR_CHARACTERS with YEAR_ROWS facts, judge every answer of analytics, replay it, and measure; writes docs/benchmarks
	$(TEST_ENV) MUSTER_REQUIRE_ENGINES=1 MUSTER_YEAR_CHARACTERS="$(YEAR_CHARACTERS)" MUSTER_YEAR_ROWS="$(YEAR_ROWS)" MUSTER_YEAR_MEASURE=1 \
		MUSTER_BENCH_REPORT="$(CURDIR)/docs/benchmarks" $(GO) test -count=1 -timeout 240m -run '^TestAYearOfCharacters' -v ./cmd/muster

.PHONY: fuzz
fuzz: ## Run every fuzzer for FUZZTIME, one after the other
	@set -e; $(GO) list ./... | while read -r package; do \
		for fuzzer in $$($(GO) test -list '^Fuzz' "$$package" | grep '^Fuzz' || true); do \
			echo "$$package $$fuzzer"; \
			$(GO) test -run '^$$' -fuzz "^$$fuzzer\$$" -fuzztime "$(FUZZTIME)" "$$package"; \
		done; \
	done

.PHONY: bench
bench: build engines ## Measure folding, replay, sync and AnVIL beside bare work, as ratios; writes docs/benchmarks
	$(TEST_ENV) MUSTER_REQUIRE_ENGINES=1 MUSTER_BENCH_REPORT="$(CURDIR)/docs/benchmarks" \
		$(GO) test -count=1 -timeout 30m -run '^$$' -bench . -benchtime 1x -v ./cmd/muster

.PHONY: fmt
fmt: ## Format every Go file
	$(LINT) fmt

.PHONY: format
format: ## Fail if a Go file is not formatted (fmt repairs it)
	@unformatted=$$(git ls-files -z --cached --others --exclude-standard -- '*.go' | xargs -0 -r gofmt -l); \
	if [ -n "$$unformatted" ]; then printf 'not formatted, run "make fmt":\n%s\n' "$$unformatted" >&2; exit 1; fi

.PHONY: vet
vet: ## go vet
	$(GO) vet ./...

.PHONY: lint
lint: ## golangci-lint with the rules of .golangci.yml, the import rule among them
	$(LINT) run

.PHONY: modules
modules: ## Fail if a module in the cache differs from go.sum
	$(GO) mod verify
	cd tools && $(GO) mod verify
	cd deploy/test && $(GO) mod verify
	cd tools/sbom && $(GO) mod verify

.PHONY: sbom
sbom: ## List what the program is made of, with licences: bin/muster.cdx.json and docs/dependencies.md
	mkdir -p bin
	$(GO) tool -modfile=tools/sbom/go.mod cyclonedx-gomod app -main cmd/muster -licenses -json -output bin/muster.cdx.json .
	cd tools/sbom && $(GO) run . ../../bin/muster.cdx.json ../../docs/dependencies.md ../../query/web/assets/package-lock.json ../../deploy/engines/package-lock.json

.PHONY: tidy
tidy: ## Bring go.mod and go.sum in line with the imports
	$(GO) mod tidy

.PHONY: shell
shell: ## Fail if a shell script does not parse
	sh -n deploy/engines/fetch.sh
	sh -n deploy/compose/secrets.sh
	bash -n .ci/run

.PHONY: cover
cover: build engines ## Coverage of all tests, as cover.html
	$(TEST_ENV) $(GO) test -p $(TEST_PARALLEL) -timeout $(TEST_TIMEOUT) -coverpkg=./... -coverprofile=cover.out ./...
	$(GO) tool cover -html=cover.out -o cover.html
	$(GO) tool cover -func=cover.out | tail -n 1

.PHONY: clean
clean: ## Remove what was built; fetched engines and data folders stay
	rm -rf -- bin cover.out cover.html
