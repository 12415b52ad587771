# SPDX-License-Identifier: GPL-2.0
# `make help` lists the targets. KDIR=, W=1, C=2, V=1 go on to the kernel's own build.

VERSION := 0.1.0
PREFIX ?= /usr
DESTDIR ?=
KDIR ?= /lib/modules/$(shell uname -r)/build
# Each kernel's objects stand in KOUT/KVER; the tree stays clean.
KOUT ?= build
K ?= 6.12

# As modules see it: Debian's 6.1 headers have another kernel.release.
KVER = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(KDIR)/include/generated/utsrelease.h 2>/dev/null)
OUT = $(abspath $(KOUT))/$(KVER)
PYTHON := /usr/bin/python3

.PHONY: all
all: tool ## the tool, and the module for KDIR (the running kernel) if its headers are there
	@if [ -n "$(KVER)" ]; then $(MAKE) --no-print-directory module; else \
		echo "no kernel headers in $(KDIR): the module is not built (KDIR=, or make modules-all)"; fi

.PHONY: module
module: ## build/KVER/xfrmsync.ko, for KDIR
	@test -n "$(KVER)" || { echo "no kernel headers in $(KDIR)" >&2; exit 1; }
	@mkdir -p $(OUT)
	@find $(OUT) -xtype l -delete
	@cp -rsf $(CURDIR)/Kbuild $(CURDIR)/kmod $(CURDIR)/uapi $(OUT)/
	+flock $(OUT)/.lock $(MAKE) -C $(KDIR) M=$(OUT) modules

.PHONY: module-6.1 module-6.12 module-debug module-kcsan
module-6.1 module-6.12 module-debug module-kcsan: module-%: ## the same for one of the VMs' kernels
	+@kdir=$$(selftests/vm/kernels.sh kdir $*) && \
		$(MAKE) --no-print-directory module KDIR=$$kdir

# A NIC for the tests, and a module that is in the way.
.PHONY: offload-6.1 offload-6.12 offload-debug offload-kcsan
offload-6.1 offload-6.12 offload-debug offload-kcsan: offload-%:
	+@kdir=$$(selftests/vm/kernels.sh kdir $*) && out=$(abspath $(KOUT))/$$(sed -n \
		's/.*UTS_RELEASE "\(.*\)"/\1/p' $$kdir/include/generated/utsrelease.h)/offload && \
		mkdir -p $$out && cp -rsf $(CURDIR)/selftests/offload/* $$out/ && \
		$(MAKE) -C $$kdir M=$$out modules

.PHONY: modules-all
modules-all: module-6.1 module-6.12 ## the module for both of Debian's kernels

.PHONY: tool
tool: ## tools/xfrmsync
	+$(MAKE) --no-print-directory -C tools

.PHONY: check
check: ## everything that gates: builds, unit tests here, kselftests in VMs
	@selftests/install-deps.sh check
	@selftests/check.sh

.PHONY: check-long
check-long: ## the same, with all kselftests on every kernel, the debug kernels too
	@selftests/install-deps.sh check
	@selftests/check.sh long

.PHONY: check-be
check-be: ## the unit tests and fuzzers again, on a big-endian machine (s390x, by qemu-user)
	@selftests/install-deps.sh check
	@selftests/bigendian.sh

.PHONY: fuzz
fuzz: ## libFuzzer on all that comes from outside: TIME=20 SEED=1 RUNS=10000000 FUZZ="context frame file ..." KEEP=1
	@selftests/install-deps.sh check
	@TIME='$(or $(TIME),20)' SEED='$(or $(SEED),1)' RUNS='$(RUNS)' KEEP='$(KEEP)' selftests/fuzz.sh $(FUZZ)

.PHONY: faults
faults: ## calls of libc that fail, one by one, under the tool: MOST=40 of each kind; 0: every one
	@selftests/install-deps.sh check
	@MOST='$(or $(MOST),40)' selftests/faults/run.sh

.PHONY: selftests
selftests: module-$(K) tool offload-$(K) build/genl_fuzz ## kselftests on one kernel: K=6.12 TESTS="smoke ..."
	@selftests/vm/kselftest.sh -k $(K) $(TESTS)

.PHONY: upstream
upstream: module-6.12 ## the kernel's own tests of XFRM, without the module and with it: TESTS="ipsec pmtu ..."
	@selftests/install-deps.sh check
	@selftests/upstream/get.sh >/dev/null
	@selftests/vm/kselftest.sh -k 6.12 -o results/upstream -e XFRMSYNC_UPSTREAM='$(TESTS)' \
		selftests/upstream/upstream.sh

.PHONY: genl-coverage
genl-coverage: ## lines of the module that the fuzzer and failing allocations reach, by gcov, K=debug: MESSAGES=50000 TESTS="genl-fuzz reader kfaults"
	@selftests/coverage/run.sh -m '$(or $(MESSAGES),50000)' $(TESTS)

.PHONY: abuse
abuse: ## the long form of all that breaks things, hours, and its record (selftests/abuse/run.sh): ABUSE="genl churn ..." SEED=1
	@selftests/install-deps.sh check
	@SEED='$(or $(SEED),1)' MESSAGES='$(MESSAGES)' RUNS='$(RUNS)' ROUNDS='$(ROUNDS)' TUNNELS='$(TUNNELS)' \
		selftests/abuse/run.sh $(ABUSE)

.PHONY: debug-kernel
debug-kernel: ## a kernel full of checks, for K=debug: VARIANT=kcsan
	@selftests/vm/debug-kernel.sh $(or $(VARIANT),debug)

.PHONY: vm
vm: ## a command in a VM that sees this machine's files: K=6.12 CMD='uname -a' VMFLAGS='-m 2048'
	@test -n "$$CMD" || { echo "make vm K=$(K) CMD='...'" >&2; exit 2; }
	@selftests/vm/run.sh -k $(K) $(VMFLAGS) -- bash -c "$$CMD"
vm: override export CMD := $(value CMD)

.PHONY: demo
demo: ## three VMs, tunnels, one power cut; SYNC=off shows what it is for
	@SYNC='$(or $(SYNC),on)' K=$(K) selftests/demo/run.sh

# HEADROOM=2: module and tool of their own, with leases that are no longer than what is used.
SHARP = build/headroom-$(HEADROOM)
.PHONY: sharp
sharp:
	+@$(MAKE) --no-print-directory module-$(K) KOUT=$(SHARP) KCFLAGS=-DXFRMSYNC_LEASE_HEADROOM=$(HEADROOM)
	+@$(MAKE) --no-print-directory -C tools BUILD=../$(SHARP)/tools ../$(SHARP)/tools/xfrmsync \
		EXTRA_CFLAGS=-DXFRMSYNC_LEASE_HEADROOM=$(HEADROOM)

.PHONY: campaign
campaign: $(if $(HEADROOM),sharp,module-$(K) tool) ## random crash takeovers in VMs, judged: N=100 SEED= K=6.12 GUARD= JOBS=1 HEADROOM=
	@K='$(K)' N='$(or $(N),100)' SEED='$(SEED)' GUARD='$(GUARD)' JOBS='$(or $(JOBS),1)' \
		CPUS='$(or $(CPUS),2)' CAMPAIGN='$(CAMPAIGN)' SHARP='$(if $(HEADROOM),$(SHARP))' \
		selftests/campaign-vms.sh

.PHONY: campaign-vm
campaign-vm: module-$(K) tool ## the demo, again and again, the active VM killed at a random moment: N=5 SEED= GUARD=
	@K='$(K)' N='$(or $(N),5)' SEED='$(SEED)' GUARD='$(or $(GUARD),strict)' FROM='$(or $(FROM),0)' \
		selftests/campaign-kill.sh

# Both kernels, unless one is named.
BENCH_KERNELS := $(if $(filter file,$(origin K)),6.12 6.1,$(K))
BENCH_NEEDS := $(BENCH_KERNELS:%=module-%) tool build/bench/packets build/bench/records build/bench/own
BENCH_RUN := selftests/bench/run.sh $(BENCH_KERNELS:%=-k %)

.PHONY: bench bench-gate bench-record
bench: $(BENCH_NEEDS) ## instructions of packets, records, takeovers: BENCH="records packets takeover growth lag" BENCH_N= BENCH_SAS= BENCH_GUARDS= K=
	@selftests/install-deps.sh bench
	@$(BENCH_RUN) $(BENCH)

bench-gate: $(BENCH_NEEDS) ## a short form: fails where a record costs 2 % more than selftests/bench/baseline.json says
	@$(BENCH_RUN) -g

bench-record: $(BENCH_NEEDS) ## what it costs now is what bench-gate compares with
	@$(BENCH_RUN) -r

build/genl_fuzz: selftests/genl_plain.c selftests/genl_plain.h
build/bench/packets build/genl_fuzz: build/%: selftests/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 -o $@ $(filter %.c,$^)

# They are the tool's own parts, and what the kernel has in their place.
build/bench/records build/bench/own: build/bench/%: selftests/bench/%.c selftests/bench/measure.c selftests/bench/measure.h tool
	@mkdir -p $(@D)
	+$(MAKE) --no-print-directory -C tools ../build/tools/tool.a
	$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 -Itools -Iuapi -o $@ $(filter %.c,$^) \
		build/tools/tool.a $$(pkg-config --libs libmnl jansson inih openssl libsodium libcap-ng libseccomp)

.PHONY: lint
lint: ## sparse, clang, analyzers, checkpatch, kernel-doc, cppcheck, shellcheck, words, man pages
	@selftests/install-deps.sh check
	@selftests/lint.sh

.PHONY: rules
rules: ## a kselftest fails without each safety rule (selftests/rules/): RULE="lease-end ..." K=6.12
	@selftests/rules/run.py all -k $(K) $(RULE)

.PHONY: model
model: ## the protocol's models, exhaustively by spin, and their mutants: LONG=1 larger bounds, too
	@selftests/install-deps.sh check
	@LONG='$(LONG)' Documentation/model/run.sh

.PHONY: spec
spec: ## fails if uapi/linux/xfrmsync.h is not what the netlink specification generates
	$(PYTHON) Documentation/netlink/gen-uapi.py --check

.PHONY: install
install: install-tool ## DESTDIR= PREFIX=/usr: the tool, man pages, units, and the module for KDIR
	@if [ -f $(OUT)/xfrmsync.ko ]; then $(MAKE) --no-print-directory install-module; else \
		echo "no module was built for the running kernel: see make dkms, or KDIR="; fi

.PHONY: install-tool
install-tool: tool ## ... without the module
	install -D -m 755 tools/xfrmsync $(DESTDIR)$(PREFIX)/sbin/xfrmsync
	install -D -m 644 tools/xfrmsync.conf.example \
		$(DESTDIR)$(PREFIX)/share/doc/xfrmsync/xfrmsync.conf.example
	install -D -m 644 tools/keepalived.conf.example \
		$(DESTDIR)$(PREFIX)/share/doc/xfrmsync/keepalived.conf.example
	@set -e; for f in tools/man/*.[1-8]; do [ ! -f $$f ] || ( set -x; \
		install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$${f##*.} $$f ); done
	@set -e; for f in tools/systemd/*; do [ ! -f $$f ] || case $$f in \
		*.service | *.socket | *.target | *.timer) ( set -x; \
			install -D -m 644 -t $(DESTDIR)/lib/systemd/system $$f );; \
		*.conf) ( set -x; install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/xfrmsync $$f );; \
		*) ( set -x; install -D -m 755 -t $(DESTDIR)$(PREFIX)/lib/xfrmsync $$f );; esac; done

.PHONY: install-module
install-module:
	install -D -m 644 $(OUT)/xfrmsync.ko $(DESTDIR)/lib/modules/$(KVER)/updates/xfrmsync.ko
	$(if $(DESTDIR),,depmod $(KVER))

.PHONY: dkms
dkms: ## the module's source into DESTDIR/usr/src, and (no DESTDIR) built there by dkms
	rm -rf $(DESTDIR)/usr/src/xfrmsync-$(VERSION)
	install -d $(DESTDIR)/usr/src/xfrmsync-$(VERSION)
	cp -r Kbuild kmod uapi $(DESTDIR)/usr/src/xfrmsync-$(VERSION)/
	sed 's/@VERSION@/$(VERSION)/' dkms.conf.in >$(DESTDIR)/usr/src/xfrmsync-$(VERSION)/dkms.conf
	$(if $(DESTDIR),,dkms install --force xfrmsync/$(VERSION))

.PHONY: clean
clean: ## removes build/, results/ and the tool's objects; the kernels' cache stays
	rm -rf build results
	[ ! -f tools/Makefile ] || $(MAKE) --no-print-directory -C tools clean

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z][a-z0-9.-]*\)\( [a-z0-9. -]*\)\{0,1\}:.*## \(.*\)/\1|\3/p' $(MAKEFILE_LIST) | \
		awk -F'|' '{ printf "  %-14s %s\n", $$1, $$2 }'
	@echo "KDIR=, W=1, C=2, V=1 go on to the kernel's build; XFRMSYNC_ACCEL=kvm|tcg chooses the VMs'"
	@echo "accelerator; XFRMSYNC_CACHE (/var/cache/xfrmsync) is where kernels are kept."
