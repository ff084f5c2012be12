# make help says what there is to do. make test is what .ci/run runs.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Pinned, so that a check does not turn red by itself.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.1.4

# How long each fuzz target runs.
FUZZTIME ?= 10s

# interop is a module of its own: its libraries are no requirements of ours.
MODULES := . interop
NODE_MODULES := interop/node/node_modules/.package-lock.json

.PHONY: help build run test lint vulnerabilities race redis soak away million interop newman fuzz bench tools

help: ## Say what there is to do
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build the command: ./jeton
	go build -o jeton ./cmd/jeton

run: ## Serve a demonstration that is thrown away at its end
	go run ./cmd/jeton serve --demo

test: tools lint vulnerabilities race redis interop ## Everything that has to pass, within some minutes

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(find . -name node_modules -prune -o -name '*.go' -print0 | xargs -0 gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w has work to do on:"; echo "$$unformatted"; exit 1; fi
	@for module in $(MODULES); do \
		echo "go vet, staticcheck: $$module"; \
		(cd $$module && go vet ./... && go run $(STATICCHECK) ./...); \
	done

# The list of known vulnerabilities is asked for over the network, or taken from
# GOVULNDB. Where neither is to be had nothing can be said, and nothing is.
vulnerabilities: ## govulncheck, where its database can be had (GOVULNDB=file:///...)
	@status=0; said=$$(go run $(GOVULNCHECK) ./... 2>&1) || status=$$?; \
	if [ $$status -ne 0 ] && grep -q 'fetching vulnerabilities' <<<"$$said"; then \
		echo "govulncheck: NOT RUN, its database is out of reach; GOVULNDB may name a copy"; \
	else echo "$$said"; exit $$status; fi

# Four at once, the longest first: tests wait for disks and clocks more than they
# work. So do those of one package that may run beside each other.
race: ## All tests of this module, under the race detector
	CGO_ENABLED=1 go test -race -p 4 -parallel 4 -timeout 30m ./server ./cmd/jeton $$(go list ./... | grep -v -e /proof$$ -e /server$$ -e /cmd/jeton$$)
	CGO_ENABLED=1 go test -race -count=1 -timeout 30m -parallel 6 ./proof # runs the command, which go test does not know to compare
	CGO_ENABLED=0 go test -trimpath -count=1 -run '^(TestPromises4And6|TestUsersPageAtAHundredThousandUsers)$$' ./server # in full: the detector's runs are short ones

# Of the tests of processes those that name no store and where one matters; of
# those with strangers' clients all flows, but for the pages in Chromium, which
# TestPagesOnRedis walks through.
ON_REDIS := ^Test(A13_|X7_|KillNine|Reloads|EndingServers|AcceptedRequests|LoadBalancers|RefusedWithout|L11_|L12_|ALostRole|APIsWhile|S21_)
STRANGERS_ON_REDIS := ^Test(OAuth2$$|OAuth2Code|OAuth2Public|OAuth2Client|OIDCLogin|NodeDevice|Flows|F1_F2|Newman|Node$$|NodeOpenID|NodeCode|NodeRegistration)

# The suites of the packages that stand on a store, unchanged, and the fights over
# one token, on a redis-server that is started for it. The store's own tests, and
# what Redis does when it fails, are among the others.
redis: $(NODE_MODULES) ## The same suites on Redis
	.ci/with-redis go test -short -count=1 -p 4 -parallel 4 -timeout 30m ./server ./grants ./events/... ./throttle ./clients/... ./keys ./accounts ./well-known
	.ci/with-redis go test -count=1 -timeout 30m -run '^TestR8_SimultaneousRefreshes$$/4_processes$$' ./proof
	.ci/with-redis go test -count=1 -timeout 30m -run '$(ON_REDIS)' ./proof
	cd interop && CI=true ../.ci/with-redis go test -count=1 -parallel 3 -timeout 20m -run '$(STRANGERS_ON_REDIS)' .

soak: ## Look for faults of several servers for SOAK (1h), with SEED as before; ON=Sentinel on one kind of store
	SOAK=$${SOAK:-1h} go test -count=1 -timeout 0 -parallel 6 -v -run '^TestLinearizable$$/'"$${ON:-.}" ./proof

away: ## Take Redis away under load for AWAY (30s)
	AWAY=$${AWAY:-30s} go test -count=1 -timeout 0 -v -run '^TestRedisAwayUnderLoad$$' ./proof

million: ## Move SESSIONS (1000000) to Redis and back, in up to an hour
	SESSIONS=$${SESSIONS:-1000000} go test -count=1 -timeout 0 -v -run '^TestMovingManySessions$$' ./proof

# Uncached, since the command they run is not among what go test compares; and
# with CI set, so that nothing is left out.
interop: $(NODE_MODULES) ## Strangers' clients and Postman against the real command
	cd interop && CI=true go test -count=1 -parallel 3 -timeout 20m ./... # they wait more than they work

newman: $(NODE_MODULES) ## The Postman collection alone, in full words
	cd interop && CI=true go test -count=1 -v -run '^TestNewman$$' .

$(NODE_MODULES): interop/node/package.json interop/node/package-lock.json | tools
	cd interop/node && npm ci --ignore-scripts
	@touch $@

fuzz: ## Each fuzz target for FUZZTIME
	@go list ./... | while read -r package; do \
		for target in $$(go test -list '^Fuzz' "$$package" | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null; \
		done; \
	done

bench: ## Go's benchmarks, then the server under load beside what it stands on
	go test -run '^$$' -bench . -benchmem ./...
	go run ./bench
	go run ./bench refusal
	go run ./bench lists

tools: ## Install what the tests need and this machine lacks
	@.ci/tools
