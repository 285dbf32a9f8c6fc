# The targets are listed by `make help`. Cargo does the work of building Rust; this file
# adds what Cargo does not do: packages, the libraries as C programs want them,
# installation and the C examples.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
DESTDIR ?=
# Whether the debug information is installed: no, yes (a file of its own), keep (within the libraries).
DEBUGINFO ?= no
# How many random programs `make soak` runs.
SEEDS ?= 10000
# How long `make fuzz` runs each target.
SECONDS ?= 600

CC ?= cc
CARGO ?= cargo
CFLAGS ?= -O2 -g

# rustup puts Cargo where a root shell often does not look.
export PATH := $(PATH):$(HOME)/.cargo/bin
export CARGO

# libbpf is built below Cargo by a make of its own, which has variables of these names:
# it must not see ours, neither in the environment nor in MAKEFLAGS.
unexport DESTDIR PREFIX LIBDIR INCLUDEDIR PKGCONFIGDIR
MAKEOVERRIDES :=

target := $(abspath $(or $(CARGO_TARGET_DIR),target))
# Libraries as they are installed, and an installation of them for this tree's own use.
libraries := $(target)/lib
stage := $(target)/stage
stage_pc := $(stage)/lib/pkgconfig/fluxcap.pc
examples := $(patsubst examples-c/%.c,$(target)/examples-c/%,$(wildcard examples-c/*.c))
# What the libraries are made of.
sources := $(shell find src bpf -type f) Cargo.toml $(wildcard Cargo.lock) build.rs

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# No built-in rules: one of them would compile bpf/*.c, an XDP program, for this machine.
.SUFFIXES:
%.o: %.c
# Cargo uses all processors by itself.
.NOTPARALLEL:
.PHONY: help deps build all install uninstall examples header bpf demo test test-sim loom miri sanitize soak fuzz check test-kernels \
	test-windows test-emulated check-platforms bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

deps: ## install the Debian packages that are missing (as root)
	.ci/deps build demo test check bench

all: build
build: $(libraries)/libfluxcap.so $(libraries)/libfluxcap.a ## the release libraries, into target/lib

install: build ## install for C; PREFIX, DESTDIR, LIBDIR, INCLUDEDIR, PKGCONFIGDIR, DEBUGINFO
	$(call paths,$(DESTDIR),$(PREFIX),$(LIBDIR),$(INCLUDEDIR),$(PKGCONFIGDIR)) pkgconfig/install.sh $(libraries)

uninstall: ## remove what install installed
	$(call paths,$(DESTDIR),$(PREFIX),$(LIBDIR),$(INCLUDEDIR),$(PKGCONFIGDIR)) pkgconfig/install.sh --uninstall

examples: $(examples) ## the C examples, into target/examples-c

header: ## generate include/fluxcap.h anew
	BLESS=1 $(CARGO) test --test header

bpf: ## build the XDP program anew (clang-19)
	bpf/build.sh

demo: ## ping the C ping responder over a veth pair (root), or else on the simulator
	.ci/deps build
	.ci/deps demo || true
	$(MAKE) examples
	examples-c/demo.sh $(target)/examples-c/ping_responder

test: ## all tests; what cannot run here is listed with the reason
	.ci/deps build demo test
	$(MAKE) examples
	.ci/test
	.ci/loom

test-sim: ## the tests that need neither root nor AF_XDP, without any rights, within 120 s of processor time
	.ci/deps build
	.ci/test-sim

sanitize: ## tests in Rust and C over the library built with AddressSanitizer, then with ThreadSanitizer (nightly)
	.ci/deps build sanitize
	.ci/sanitize

loom: ## model check of what threads share about frames, over all interleavings
	.ci/deps build
	.ci/loom

miri: ## small programs in each mode under Miri, where there is a nightly compiler with it
	.ci/deps build
	.ci/miri

soak: ## 10,000 random programs where everything goes wrong (SEEDS=100000 for more), 100 million packets between threads, 1,000 openings over veth
	.ci/deps build
	FLUXCAP_SOAK=$(SEEDS) $(CARGO) test --release --test sim soak
	FLUXCAP_TRAVEL=100000000 $(CARGO) test --release --test sim packets_dropped_on_another_thread -- --nocapture
	FLUXCAP_CYCLES=1000 $(CARGO) test --release --test scenarios both_ends_closed_and_opened::in_ -- --test-threads 8

fuzz: ## each fuzz target for 10 minutes (SECONDS=60 for one), with cargo-fuzz
	.ci/deps build
	fuzz/run $(SECONDS)

check: ## formatting, lints, documentation, header, XDP program, C sources
	.ci/deps build check
	.ci/check

test-kernels: ## tests in QEMU guests: Debian's kernels from 5.10 to the newest, network cards that have zero-copy
	.ci/deps build kernels
	tests/kernels/cases

test-windows: ## the tests of a Windows build, run by wine
	.ci/deps build platforms
	.ci/platforms windows

test-emulated: ## the tests that need no kernel, run by QEMU on aarch64 and s390x
	.ci/deps build emulators
	.ci/platforms emulated

check-platforms: ## whether everything compiles for macOS, Windows and FreeBSD
	.ci/deps build
	.ci/platforms check

bench: ## benchmarks against libxdp, UDP and protocol crates, and the simulator's speed, into target/bench/results.json (root)
	.ci/deps build demo bench
	$(CARGO) bench --bench cycles
	$(CARGO) bench --bench instructions
	$(CARGO) bench --bench veth
	$(CARGO) bench --bench forward
	$(CARGO) bench --bench latency
	$(CARGO) bench --bench micro
	$(CARGO) bench --bench proto
	$(CARGO) bench --bench sim

clean: ## remove everything that was built
	$(CARGO) clean

# The environment of pkgconfig/install.sh.
paths = DEBUGINFO='$(DEBUGINFO)' DESTDIR='$(1)' PREFIX='$(2)' LIBDIR='$(3)' INCLUDEDIR='$(4)' PKGCONFIGDIR='$(5)'

$(libraries)/libfluxcap.so $(libraries)/libfluxcap.a &: $(sources) pkgconfig/build.sh pkgconfig/version.sh
	pkgconfig/build.sh $(libraries)

$(stage_pc): $(libraries)/libfluxcap.so $(libraries)/libfluxcap.a include/fluxcap.h $(wildcard pkgconfig/*)
	$(call paths,,$(stage),$(stage)/lib,$(stage)/include,$(stage)/lib/pkgconfig) pkgconfig/install.sh $(libraries)

# As a user of the installed library builds a program. Only the rpath is added: the
# library in this tree is in no place where the dynamic linker looks.
$(target)/examples-c/%: examples-c/%.c $(wildcard examples-c/*.h) $(stage_pc)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -Wall -Wextra -Werror $< -o $@ \
		$$(PKG_CONFIG_PATH=$(dir $(stage_pc)) pkg-config --cflags --libs fluxcap) -Wl,-rpath,$(stage)/lib
