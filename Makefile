# check: what a commit must pass, in minutes. test: the second of the README's
# two commands: installs what the tests need and passes them all. long: all of it
# at full size, and a page in docs/runs about it.
GO ?= go

.PHONY: build check test unit e2e golden fuzz bench long long-race long-golden long-mutants long-e2e long-fuzz

build:
	CGO_ENABLED=0 $(GO) build ./cmd/milena

check:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags e2e ./test/...
	GOOS=darwin $(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test -race -short ./...

unit:
	$(GO) test ./...

e2e:
	scripts/install-test-tools
	$(GO) test -tags e2e -count=1 -timeout 30m ./test/e2e

# golden: what Apache Kafka answered, case by case.
golden:
	$(GO) test -tags e2e -count=1 -parallel 32 -timeout 10m ./test/golden

test: check golden
	scripts/install-test-tools
	$(GO) test -tags e2e -count=1 -timeout 40m ./test/e2e ./test/mutants

# The parts of long, each well under an hour on two cores. How much each does can
# be said: make long RACES=3 CYCLES=400 FUZZTIME=4m. V=-v names every test.
RACES ?= 1
CYCLES ?= 100
V ?=

long:
	RACES=$(RACES) CYCLES=$(CYCLES) FUZZTIME=$(FUZZTIME) scripts/long

# Every test, nothing shortened, with the race detector.
long-race:
	$(GO) test -race $(V) -count=$(RACES) -timeout 55m ./...

# Kafka's answers, while the race detector looks at the broker.
long-golden:
	$(GO) test -race -tags e2e $(V) -count=$(RACES) -parallel 32 -timeout 55m ./test/golden

long-mutants:
	$(GO) test -tags e2e $(V) -count=1 -timeout 55m ./test/mutants

# Real clients, each in every security mode; kill -9 and power cuts, so many of each.
long-e2e:
	scripts/install-test-tools
	CYCLES=$(CYCLES) MATRIX=full $(GO) test -tags e2e $(V) -count=1 -timeout 55m ./test/e2e

long-fuzz: fuzz

# Every fuzz target for FUZZTIME: package and name.
FUZZ = wire/shape:FuzzCheck wire:FuzzFrame wire/sasl:FuzzStep batch:FuzzBatch storage/journal/file:FuzzOpen \
	shard/fact:FuzzCluster shard/fact:FuzzPartition shard/fact:FuzzGroup \
	config:FuzzProperties config:FuzzEndpoint cmd/milena:FuzzJAAS cmd/milena:FuzzFormat
FUZZTIME ?= 15s

fuzz:
	@set -e; for target in $(FUZZ); do \
		echo "$${target#*:} in $${target%:*}"; \
		$(GO) test -run xxx -fuzz "^$${target#*:}\$$" -fuzztime $(FUZZTIME) "./$${target%:*}"; \
	done

# bench: whether the measurements run, not figures: bench/README.md says how to
# get those.
bench:
	$(GO) test -run xxx -bench . ./storage/journal/file ./partition
	$(GO) run ./bench/run -short
