# Shepherd's tasks. `make help` lists them.

# Packages to test, for example PKG=./internal/jobs/...; what takes longest begins first.
PKG ?= ./internal/e2e ./...
# ONCE=1 ends the demo after one walk through the journey.
ONCE ?=
# CLUSTERS=1 lets one kube-apiserver stand for both clusters of the demo.
CLUSTERS ?=
# CRDS=1 makes verify check KubeVirt's definitions, which takes minutes the first time.
CRDS ?=
# The chaos run: the seed that a failing one has printed repeats it; how many pull requests and webhooks.
SEED ?=
PULLS ?= 300
WEBHOOKS ?= 10000

# For the modules under tools, out of reach of a workspace and of flags for the main module.
nested := GOWORK=off GOFLAGS= go

# Where git refuses the checkout (another owner), a build does without the commit's name.
BUILDVCS := $(shell git rev-parse --git-dir >/dev/null 2>&1 && echo true || echo false)

# What `shepherd --version` says.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

.DEFAULT_GOAL := help
.NOTPARALLEL:

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the programs into bin/
	go build -buildvcs=$(BUILDVCS) -ldflags "-X main.version=$(VERSION)" -o bin/ ./cmd/...

.PHONY: test
test: postgres controlplane kubevirt lint verify ## Check and test everything (PKG=... for some packages)
	go test -timeout 30m $(PKG)

.PHONY: race
race: postgres controlplane kubevirt ## Test with the race detector (PKG=... for some packages; needs a C compiler)
	CGO_ENABLED=1 go test -timeout 60m -race $(PKG)

.PHONY: bench
bench: postgres controlplane kubevirt ## Run the benchmarks (PKG=... for some packages)
	go test -run '^$$' -bench . -benchmem $(PKG)

.PHONY: chaos
chaos: postgres controlplane ## Let everything go wrong at once, then look at what is left; five minutes (SEED=... PULLS=... WEBHOOKS=...)
	SHEPHERD_CHAOS_SEED=$(SEED) SHEPHERD_CHAOS_PULLS=$(PULLS) SHEPHERD_CHAOS_WEBHOOKS=$(WEBHOOKS) SHEPHERD_CHAOS_SERVERS=3 SHEPHERD_CHAOS_AT_ONCE=12 \
		go test -count=1 -timeout 4h -run '^TestChaos$$' -v ./internal/chaos

.PHONY: lint
lint: ## Check format, vet and staticcheck
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted, run gofmt -w:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	$$($(nested) tool -C tools/lint -n staticcheck) ./...
	$(nested) vet -C tools/controlplane ./...

.PHONY: generate
generate: ## Write generated code and schemas anew
	go generate ./...

.PHONY: generate-crds
generate-crds: ## Write KubeVirt's definitions anew from the versions in tools/kubevirt/go.mod
	$(nested) vet -C tools/kubevirt ./...
	$(nested) run -C tools/kubevirt ./crds -out $(CURDIR)/internal/kubetest/crds

.PHONY: generate-github
generate-github: ## Write GitHub's published descriptions anew from the versions in tools/published
	go run ./tools/published -out internal/forgetest/published

.PHONY: verify
verify: postgres ## Fail when generated files or migrations are not current (CRDS=1 for KubeVirt's definitions too)
	scripts/verify $(MAKE) --no-print-directory generate $(if $(CRDS),generate-crds)
	go run ./migrations/generate -check

.PHONY: demo
# The demo runs a PostgreSQL of its own, whatever server the tests are pointed at.
demo: override export DATABASE_URL :=
demo: build postgres controlplane kubevirt ## Play a first day on real parts (ONCE=1 to end after it, CLUSTERS=1 for less memory)
	@bin/demo $(if $(ONCE),-once) $(if $(CLUSTERS),-clusters=$(CLUSTERS))

.PHONY: postgres
postgres: ## Install PostgreSQL where there is none
	@go build -buildvcs=false -o bin/testenv ./tools/testenv
	@test -n "$$DATABASE_URL" || bin/testenv postgres >/dev/null || scripts/install-postgres

.PHONY: controlplane
controlplane: ## Compile the test control plane into the cache
	@go build -buildvcs=false -o bin/testenv ./tools/testenv
	@bin/testenv controlplane >/dev/null

.PHONY: kubevirt
kubevirt: ## Compile KubeVirt for tests into the cache
	@go build -buildvcs=false -o bin/testenv ./tools/testenv
	@bin/testenv kubevirt >/dev/null

.PHONY: clean
clean: ## Remove what was built here; the cache outside the clone stays
	rm -rf bin
