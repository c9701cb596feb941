# SPDX-License-Identifier: MIT
# evy: `make run` to see it answer, `make test` to check everything.
PREFIX ?= /usr/local
PORT ?= 8090
CC ?= cc
BUILD := .build/release

# What the Swift toolchain and the library need beside themselves on a bare Debian 12.
NEEDED := gcc libc6-dev libstdc++-12-dev libgcc-12-dev binutils git ca-certificates tzdata zlib1g-dev \
    libcurl4 libedit2 libsqlite3-0 libxml2 libz3-4 libncurses6 libssl-dev pkg-config curl
TEST_NEEDED := g++ cmake ninja-build python3 python3-pytest python3-pytest-xdist python3-venv \
    python3-prometheus-client openssl valgrind strace iproute2

.PHONY: run lib test conformance fuzz resources stress soak tools fuzz-abi install differential bench tls-scan hostile options format clean

run: ## builds the library, starts Examples/c/hello.c with it
	@.ci/need.sh $(NEEDED)
	@$(MAKE) --no-print-directory lib
	@$(CC) -O2 -Wall -IInclude Examples/c/hello.c -L$(BUILD) -levy \
	    -Wl,-rpath,$(CURDIR)/$(BUILD) -o $(BUILD)/hello-c
	@echo "try: curl -si http://127.0.0.1:$(PORT)/   (Ctrl-C ends the server)"
	@exec $(BUILD)/hello-c $(PORT)

lib: ## .build/release/libevy.so, and its name at run time
	@.ci/touch.sh $(BUILD)/libevy.so
	@swift build -c release --product evy
	@ln -sf libevy.so $(BUILD)/libevy.so.0

test: tools ## every check and test, in stages; one of them: Tests/run STAGE
	@Tests/run

conformance: tools lib ## every case of Tests/Conformance over sockets, cut in two at every point too
	@python3 Tests/Conformance/run.py --cuts

fuzz: tools ## fuzzes each pure room and whole conversations, each for SECONDS (60)
	@Tests/Fuzz/run.sh $(or $(SECONDS),60)

resources: lib tools ## what happens when something runs out, with many more forks than `make test` makes
	@EVY_FORKS=3000 Tests/pytest.sh Tests/resources

stress: lib ## everything at once for SECONDS (240), each answer checked, then the books
	@.ci/need.sh $(NEEDED) openssl
	@Tests/Stress/run.sh $(or $(SECONDS),240)

soak: lib ## the same until REQUESTS (ten million) are answered; memory may not grow by more than 1 MiB
	@.ci/need.sh $(NEEDED) openssl
	@Tests/Stress/run.sh 14400 24 $(or $(REQUESTS),10000000)

tools: ## installs what the tests use
	@.ci/need.sh $(NEEDED) $(TEST_NEEDED)

fuzz-abi: tools ## random calls of every function of evy.h for SECONDS (600; SEED: the first one)
	@Tests/ABI/run.sh $(or $(SECONDS),600) $(or $(SEED),1)

install: ## library, header, evy.pc and CMake package into PREFIX
	@.ci/need.sh $(NEEDED) cmake ninja-build
	cmake -S . -B build -G Ninja -DCMAKE_INSTALL_PREFIX=$(PREFIX) -DEVY_BUILD_EXAMPLES=OFF
	cmake --build build
	cmake --install build --strip --prefix $(PREFIX)

differential: lib ## compares the HTTP/1 parser with others for SECONDS=600, SEED=n, JOBS=2
	@.ci/need.sh $(NEEDED) python3 python3-venv
	@Tests/Differential/run.sh $(or $(SECONDS),600) $(or $(SEED),$$(date +%s)) --jobs $(or $(JOBS),2)

bench: lib ## compares with other servers, writes Benchmarks/results
	@Benchmarks/run

tls-scan: lib ## testssl.sh and sslyze against servers with private certificates; about three minutes
	@.ci/need.sh $(NEEDED) python3-venv openssl testssl.sh
	@Tests/tls/scan.sh

hostile: lib ## clients that misbehave, in the sizes of an attack (minutes); prints a table of figures
	@.ci/need.sh $(NEEDED) $(TEST_NEEDED)
	@EVY_HOSTILE=full Tests/pytest.sh Tests/hostile

options: tools lib ## writes docs/options.md from the library's own table
	@python3 .ci/options.py .build/release/libevy.so --write

format: ## rewrites the Swift sources as .ci/format.sh wants them
	swift format --in-place --parallel --recursive Package.swift Sources Tests Examples

clean:
	rm -rf .build .build-* build
