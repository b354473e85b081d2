# check: what a commit must pass, in minutes. test: the second of the README's
# two commands: installs what the tests need and passes them all. long: all of it
# at full size.
GO ?= go

.PHONY: build check test unit e2e golden long fuzz bench

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

long:
	scripts/install-test-tools
	$(GO) test -race -count=3 ./...
	$(GO) test -tags e2e -count=1 -timeout 10m ./test/golden
	CYCLES=200 $(GO) test -tags e2e -count=1 -timeout 55m ./test/e2e

# Every fuzz target for a minute: package and name.
FUZZ = wire/shape:FuzzCheck wire:FuzzFrame wire/sasl:FuzzStep batch:FuzzBatch storage/journal/file:FuzzOpen \
	shard/fact:FuzzCluster shard/fact:FuzzPartition shard/fact:FuzzGroup \
	config:FuzzProperties config:FuzzEndpoint cmd/milena:FuzzJAAS cmd/milena:FuzzFormat
FUZZTIME ?= 60s

fuzz:
	@set -e; for target in $(FUZZ); do \
		echo "$${target#*:} in $${target%:*}"; \
		$(GO) test -run xxx -fuzz "^$${target#*:}\$$" -fuzztime $(FUZZTIME) "./$${target%:*}"; \
	done

bench:
	$(GO) test -run xxx -bench . ./storage/journal/file ./partition
