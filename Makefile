# One Makefile, no recursion.  `make help` lists the targets.
#
#   make MODE=asan check     the same targets with sanitizers
#   make CC=clang            the other compiler
#
# MODE is release (default), debug, asan (with UBSan), tsan or cover; every mode has its own
# folder under build/, so switching back and forth rebuilds nothing.

MODE   ?= release
PREFIX ?= /usr/local
PYTHON ?= /usr/bin/python3
CXX     = $(if $(findstring clang,$(CC)),clang++,g++)
OUT    := build/$(notdir $(CC))-$(MODE)

LIBS := rdkafka libpq yaml-0.1 libcurl jansson libmicrohttpd libcrypto libxxhash
PKG  := pkg-config

STD  := -std=c11 -D_POSIX_C_SOURCE=200809L -I.
WARN := -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wvla \
        -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
        -Wcast-qual -Wcast-align -Wwrite-strings -Wpointer-arith -Wundef \
        -Wformat=2 -Wimplicit-fallthrough -Wdouble-promotion \
        -Wnull-dereference -Wfloat-equal
GCCWARN := -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wjump-misses-init -Wformat-signedness
WARN += $(if $(findstring clang,$(CC)),-Wcomma -Wunreachable-code -Wshorten-64-to-32,$(GCCWARN))
# STRICT=1 is what our own checks use; a user's newer compiler must not fail the build.
WARN += $(if $(STRICT),-Werror)

FLAGS.release := -O3 -g -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2
FLAGS.debug   := -O0 -g3 -fPIE
FLAGS.asan    := -O1 -g -fPIE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FLAGS.tsan    := -O1 -g -fPIE -fsanitize=thread
FLAGS.fuzz    := -O1 -g -fPIE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FLAGS.cover   := -O0 -g -fPIE --coverage
ifeq ($(origin FLAGS.$(MODE)),undefined)
$(error unknown MODE=$(MODE): use release, debug, asan, tsan, cover or fuzz)
endif
# gcc optimises the released engine as a whole (docs/speed.md); the tests and tools link the same
# objects one by one, which is quicker. WHOLE= does so for the engine, too.
WHOLE := $(if $(filter release,$(MODE)),$(if $(findstring clang,$(CC)),,-flto=auto))
LINK  := -pie -fno-lto -Wl,-z,relro,-z,now
LINK_WHOLE := $(if $(WHOLE),$(LINK:-fno-lto=$(WHOLE)),$(LINK))

# The libraries' flags are asked for only when something is compiled: `make help` and the
# installation of the packages work before they are there.
lib_cflags = $(shell $(PKG) --cflags $(LIBS) | sed 's/-I/-isystem /g')
lib_ldlibs = $(shell $(PKG) --libs $(LIBS)) -lm -lpthread
# The tests' judge over our JSON, in C++.
dom_cflags = $(shell $(PKG) --cflags simdjson | sed 's/-I/-isystem /g')
dom_ldlibs = $(shell $(PKG) --libs simdjson)
ALL_CFLAGS   = $(STD) -ffp-contract=off $(WARN) $(FLAGS.$(MODE)) $(if $(WHOLE),$(WHOLE) -ffat-lto-objects) \
               $(lib_cflags) $(CFLAGS)
ALL_CXXFLAGS = -std=c++17 -D_POSIX_C_SOURCE=200809L -I. -Wall -Wextra -Wshadow -fno-rtti -DNDEBUG \
               $(FLAGS.$(MODE)) $(dom_cflags) $(CXXFLAGS)

SRC  := $(wildcard core/*.c rules/*.c config/*.c ingest/*.c sinks/*.c engine/*.c cli/*.c)
ASM  := $(wildcard schemas/*.S)
TEST := $(wildcard tests/*.c)
TESTCXX := $(wildcard tests/*.cc)
HDR  := $(wildcard core/*.h rules/*.h config/*.h ingest/*.h sinks/*.h engine/*.h cli/*.h tests/*.h tests/tools/*.h tests/bench/*.h tests/campaign/*.h)
# What lint reads: all C that is ours.
C_FILES := $(wildcard main.c) $(SRC) $(TEST) $(wildcard tests/tools/*.c tests/bench/*.c tests/gateway/*.c tests/fuzz/*.c tests/campaign/*.c tests/tsan/*.c)
# What the integration tests run.
PROGRAMS := tripmeter kafka_tool control_driver follower campaign_worker
obj   = $(patsubst %.S,$(OUT)/%.o,$(patsubst %.cc,$(OUT)/%.o,$(patsubst %.c,$(OUT)/%.o,$(1))))

# Targets that install packages first compile in a second make, which finds what the first brought.
BUILD = $(MAKE) --no-print-directory $(if $(findstring --jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

# One short line a step; V=1 shows the commands.
say = $(if $(V),,@echo "  $(1)	$(2)"; )

.DEFAULT_GOAL := all
.PHONY: all libs deps demo demo-stop test check simulate campaign chaos tsan mutants scenarios integration detector-vectors evaluate lint layers format fuzz cover valgrind bench bench-scale profile install clean help
.DELETE_ON_ERROR:

all: libs ## build the engine
	@$(BUILD) $(OUT)/tripmeter

libs:
	@$(PKG) --exists $(LIBS) 2>/dev/null || { echo 'make: libraries are missing; to install them: make deps'; exit 1; }

deps: ## install what all targets need (each target also brings its own)
	@tests/env/deps.sh build demo test lint

# deps-build, deps-demo, deps-check, deps-test, deps-lint: silent when nothing is missing.
deps-%:
	@tests/env/deps.sh $*

demo: deps-demo ## see it work, in under a minute (KEEP=1 leaves everything running)
	@$(BUILD) --silent $(OUT)/tripmeter $(OUT)/kafka_tool
	@TRIPMETER_BIN=$(CURDIR)/$(OUT)/tripmeter KAFKA_TOOL=$(CURDIR)/$(OUT)/kafka_tool \
	  $(PYTHON) tests/demo/demo.py $(if $(KEEP),--keep)

demo-stop: ## end what `make demo KEEP=1` left running
	@$(PYTHON) tests/demo/demo.py --stop

check: deps-check ## build and run every unit test (SUITES="money cycle" runs some)
	@$(BUILD) $(OUT)/run_all
	@tests/env/with_postgres.sh $(OUT)/run_all $(SUITES)

SCENARIOS ?= $(wildcard tests/scenarios/*.scenario)

scenarios: deps-build ## play what customers would notice, as told in tests/scenarios/ (SCENARIOS="FILE ...")
	@$(BUILD) $(OUT)/tripmeter
	@$(OUT)/tripmeter test $(SCENARIOS)

integration: deps-test ## run the tests on real Kafka, Postgres, mail and web (TESTS="words" chooses)
	@$(BUILD) $(addprefix $(OUT)/,$(PROGRAMS))
	@TRIPMETER_BIN=$(CURDIR)/$(OUT)/tripmeter KAFKA_TOOL=$(CURDIR)/$(OUT)/kafka_tool \
	  $(PYTHON) tests/run_integration.py $(TESTS)

test: deps-test ## everything: unit tests, with sanitizers too, campaign, fuzz, integration, chaos
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory detector-vectors
	@$(MAKE) --no-print-directory MODE=asan check
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=5
	@$(BUILD) $(addprefix $(OUT)/,$(PROGRAMS))
	@echo 'make: campaign and chaos run beside the integration tests, for these mostly wait; they are told afterwards'
	@$(MAKE) --no-print-directory campaign chaos >build/beside.log 2>&1 & beside=$$!; trap 'kill $$beside' INT TERM; \
	  $(MAKE) --no-print-directory integration; integration=$$?; \
	  wait $$beside; beside=$$?; cat build/beside.log; exit $$((integration + beside))

# Short runs of tests/test_shard_seed.c, as many at a time as there are processors; a failure names
# its SEED. 1,000 are part of `make check` and take some 5 s, with MODE=asan 15 s.
SEEDS ?= 20000

simulate: deps-check ## the rules against a naive model, from more seeds (SEEDS=1000000)
	@$(BUILD) $(OUT)/run_all
	@seq 1 $$(nproc) | xargs -P 0 -I{} sh -c 'each=$$(( ($(SEEDS) + $(shell nproc) - 1) / $(shell nproc) )); \
	  FIRST=$$(( 2000001 + ({} - 1) * each )) SEEDS=$$each $(OUT)/run_all shard_seed >build/simulate-{}.log 2>&1 || \
	  { grep -a "said \|expected\|missing\|too much\|SEED" build/simulate-{}.log; exit 1; }' && \
	  echo 'simulate: $(SEEDS) seeds, all as the model says'

# 500 disruptions take most of a minute, 10000 some nine. The seed is printed; SEED= repeats its plan.
DISRUPTIONS ?= 500

campaign: deps-check ## disrupt workers that settle, and compare every total (DISRUPTIONS=10000 SEED=n)
	@$(BUILD) $(addprefix $(OUT)/,tripmeter campaign_worker)
	@TRIPMETER_BIN=$(CURDIR)/$(OUT)/tripmeter CAMPAIGN_WORKER=$(CURDIR)/$(OUT)/campaign_worker \
	  tests/env/with_postgres.sh tests/campaign/campaign.py --disruptions $(DISRUPTIONS) \
	  $(if $(SEED),--seed $(SEED))

# 20 cycles take some three minutes. The seed is printed; SEED= repeats its plan.
CYCLES ?= 20

chaos: deps-test ## overlap faults of engines, servers and connections under load (CYCLES=20 SEED=n)
	@$(BUILD) $(addprefix $(OUT)/,tripmeter kafka_tool follower)
	@TRIPMETER_BIN=$(CURDIR)/$(OUT)/tripmeter KAFKA_TOOL=$(CURDIR)/$(OUT)/kafka_tool \
	  $(PYTHON) tests/chaos/chaos.py --cycles $(CYCLES) $(if $(SEED),--seed $(SEED)) \
	  $(if $(FAULTS),--faults '$(FAULTS)')

mutants: deps-test ## plant known bugs one by one and see that a test catches each (MUTANTS="words")
	@$(BUILD) $(addprefix $(OUT)/,run_all tripmeter campaign_worker kafka_tool follower)
	@tests/env/with_postgres.sh tests/mutants/run_mutants.py $(MUTANTS)

bench: deps-test ## how fast it is beside what Kafka alone costs (BENCH="--quick --rounds 1"; --save)
	@$(BUILD) $(addprefix $(OUT)/,tripmeter kafka_tool bench_tool)
	@TRIPMETER_BIN=$(CURDIR)/$(OUT)/tripmeter KAFKA_TOOL=$(CURDIR)/$(OUT)/kafka_tool \
	  BENCH_TOOL=$(CURDIR)/$(OUT)/bench_tool $(PYTHON) tests/bench/run_bench.py $(BENCH)

bench-scale: deps-test ## what grows with the number of keys, and how long a restart takes (SCALE=--quick)
	@$(BUILD) $(addprefix $(OUT)/,tripmeter kafka_tool bench_tool)
	@TRIPMETER_BIN=$(CURDIR)/$(OUT)/tripmeter KAFKA_TOOL=$(CURDIR)/$(OUT)/kafka_tool \
	  BENCH_TOOL=$(CURDIR)/$(OUT)/bench_tool $(PYTHON) tests/bench/run_scale.py $(SCALE)

profile: deps-test ## where the time of an event goes, stage by stage (needs perf)
	@$(BUILD) $(addprefix $(OUT)/,tripmeter kafka_tool bench_tool)
	@TRIPMETER_BIN=$(CURDIR)/$(OUT)/tripmeter KAFKA_TOOL=$(CURDIR)/$(OUT)/kafka_tool \
	  BENCH_TOOL=$(CURDIR)/$(OUT)/bench_tool $(PYTHON) tests/bench/run_profile.py $(PROFILE)

cover: deps-check ## which lines the unit tests reach (build/cover.txt)
	@$(MAKE) --no-print-directory MODE=cover check
	@for room in core rules config ingest; do \
	  gcov -n -o build/$(notdir $(CC))-cover/$$room $$room/*.c 2>/dev/null; done | \
	  awk -F"[':%]" '/^File/ {name = $$2} /^Lines/ && name !~ /^\// {printf "%7.2f %% %s\n", $$2, name; name = "/"}' | \
	  tee build/cover.txt

# The whole engine on real servers, and what of the unit tests runs threads; the libraries are not
# instrumented (tests/tsan/). Without TSAN=short all unit tests run: some minutes.
TSAN_STORIES := test_climb test_raised_while_down test_revoke test_message_sent test_pages
TSAN_SUITES  := $(if $(filter short,$(TSAN)),log failpoint control notifier status)

tsan: deps-test ## threads: the engine and the unit tests under ThreadSanitizer (TSAN=short: a minute)
	@$(BUILD) $(addprefix $(OUT)/,$(PROGRAMS))
	@$(BUILD) MODE=tsan $(addprefix $(OUT:%-$(MODE)=%)-tsan/,tripmeter run_all)
	@KAFKA_TOOL=$(CURDIR)/$(OUT)/kafka_tool SUITES='$(TSAN_SUITES)' STORIES='$(TSAN_STORIES)' \
	  tests/tsan/run.sh $(CURDIR)/$(OUT:%-$(MODE)=%)-tsan

valgrind: deps-check ## the unit tests under valgrind (slow)
	@$(BUILD) $(OUT)/run_all
	@command -v valgrind >/dev/null || { echo 'make: valgrind is missing; to install it: apt-get install valgrind'; exit 1; }
	@tests/env/with_postgres.sh valgrind --quiet --error-exitcode=1 --leak-check=full $(OUT)/run_all $(SUITES)

install: all ## install the program, its examples and schemas below PREFIX (/usr/local)
	install -D -m 755 $(OUT)/tripmeter $(DESTDIR)$(PREFIX)/bin/tripmeter
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/tripmeter README.md CHANGELOG.md LICENSE \
	  config/tripmeter.example.yaml config/policy.example.yaml schemas/*.json

layers: ## prove that includes only point the allowed way
	@tests/layers.sh

# The detector must give the same bits whatever compiles it.
DETECTOR_C := tests/tools/detector_vectors.c tests/detector_vectors.c core/detector.c core/log1p.c

detector-vectors: deps-lint ## prove the detector bit for bit: gcc and clang, -O0 and -O3
	@mkdir -p build/detector
	@for build in gcc-O0 gcc-O3 clang-O0 clang-O3; do \
	  $${build%-*} $(STD) -ffp-contract=off -$${build#*-} $(DETECTOR_C) -lm -o build/detector/$$build && \
	  build/detector/$$build $$build || exit 1; \
	done

evaluate: deps-test ## detector and breaker on real traffic with planted faults (needs the traces' archive)
	@$(BUILD) $(addprefix $(OUT)/,tripmeter anomaly_evaluate breaker_evaluate)
	@TRIPMETER_BIN=$(CURDIR)/$(OUT)/tripmeter $(PYTHON) tests/evaluate/evaluate.py
	@ANOMALY_EVALUATE=$(CURDIR)/$(OUT)/anomaly_evaluate $(PYTHON) tests/evaluate/anomaly.py
	@BREAKER_EVALUATE=$(CURDIR)/$(OUT)/breaker_evaluate $(PYTHON) tests/evaluate/breaker.py

# Both compilers, in folders of their own: what is up to date in the usual ones may have been built
# without -Werror.
strict-%: deps-lint
	@$(BUILD) CC=$* STRICT=1 WHOLE= OUT=build/strict-$* \
	  $(addprefix build/strict-$*/,$(PROGRAMS) bench_tool run_all)

# How far clang's analyzer follows one function; its own default is thrice as far, takes thrice as
# long, and has found nothing more here.
NODES ?= 75000

lint: deps-lint layers strict-gcc strict-clang ## formatting, warnings of gcc and clang, clang-tidy, cppcheck, layering
	@echo 'clang-format: $(words $(C_FILES) $(TESTCXX) $(HDR)) files'
	@clang-format --dry-run -Werror $(C_FILES) $(TESTCXX) $(HDR)
	@echo 'cppcheck: $(words $(C_FILES)) files'
	@cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
	  --error-exitcode=1 -I. --suppress=missingIncludeSystem $(C_FILES)
	@echo 'clang-tidy: $(words $(C_FILES)) files'
	@printf '%s\n' $(C_FILES) | \
	  xargs -P$(shell nproc) -I{} clang-tidy --quiet {} -- $(STD) $(lib_cflags) \
	    -Xclang -analyzer-config -Xclang max-nodes=$(NODES) 2>/dev/null

# libFuzzer is part of clang. Finds are kept in build/fuzz/; the next run starts from them.
FUZZ_SECONDS ?= 30
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

fuzz: deps-lint ## feed each parser odd bytes for FUZZ_SECONDS, with sanitizers
	@$(BUILD) CC=clang MODE=fuzz $(FUZZERS:%=build/clang-fuzz/fuzz_%)
	@for name in $(FUZZERS); do mkdir -p build/fuzz/$$name && \
	  build/clang-fuzz/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=10 \
	    -print_final_stats=1 -artifact_prefix=build/fuzz/$$name- build/fuzz/$$name \
	    tests/fuzz/corpus/$$name >build/fuzz/$$name.log 2>&1 || \
	  { tail -n 40 build/fuzz/$$name.log; echo "fuzz $$name: failed"; exit 1; }; \
	  echo "fuzz $$name: $$(sed -n 's/stat::number_of_executed_units: *//p' build/fuzz/$$name.log) inputs, no fault"; \
	done

format: ## rewrite every file in the house style
	clang-format -i $$(git ls-files '*.[ch]' '*.cc')

clean: ## remove build/
	rm -rf build

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# An archive, so that each program takes of it what it needs.
$(OUT)/libtripmeter.a: $(call obj,$(SRC) $(ASM))
	@rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $^

# Without it librdkafka crashes under ThreadSanitizer.
SHIM := $(if $(filter tsan,$(MODE)),$(call obj,tests/tsan/c11_threads.c))

$(OUT)/tripmeter: $(call obj,main.c) $(SHIM) $(OUT)/libtripmeter.a
	$(call say,LINK,$@)$(CC) $(FLAGS.$(MODE)) $(LINK_WHOLE) $^ $(lib_ldlibs) -o $@

$(OUT)/run_all: $(call obj,$(TEST) $(TESTCXX)) $(SHIM) $(OUT)/libtripmeter.a
	$(call say,LINK,$@)$(CXX) $(FLAGS.$(MODE)) $(LINK) $^ $(lib_ldlibs) $(dom_ldlibs) -lcunit -o $@

$(OUT)/fuzz_%: $(OUT)/tests/fuzz/fuzz_%.o $(call obj,$(TESTCXX)) $(OUT)/libtripmeter.a
	$(call say,LINK,$@)$(CXX) $(FLAGS.fuzz) -fsanitize=fuzzer $(LINK) $^ $(lib_ldlibs) $(dom_ldlibs) -o $@

$(OUT)/kafka_tool: $(call obj,$(wildcard tests/tools/kafka_*.c))
	$(call say,LINK,$@)$(CC) $(FLAGS.$(MODE)) $(LINK) $^ $(lib_ldlibs) -o $@

$(OUT)/control_driver: $(call obj,tests/tools/control_driver.c) $(OUT)/libtripmeter.a
	$(call say,LINK,$@)$(CC) $(FLAGS.$(MODE)) $(LINK) $^ $(lib_ldlibs) -o $@

$(OUT)/anomaly_evaluate: $(call obj,tests/tools/anomaly_evaluate.c) $(OUT)/libtripmeter.a
	$(call say,LINK,$@)$(CXX) $(FLAGS.$(MODE)) $(LINK) $^ $(lib_ldlibs) -o $@

$(OUT)/breaker_evaluate: $(call obj,tests/tools/breaker_evaluate.c) $(OUT)/libtripmeter.a
	$(call say,LINK,$@)$(CXX) $(FLAGS.$(MODE)) $(LINK) $^ $(lib_ldlibs) -o $@

$(OUT)/bench_tool: $(call obj,$(wildcard tests/bench/*.c)) $(OUT)/libtripmeter.a
	$(call say,LINK,$@)$(CC) $(FLAGS.$(MODE)) $(LINK_WHOLE) $^ $(lib_ldlibs) -o $@

$(OUT)/campaign_worker: $(call obj,$(wildcard tests/campaign/*.c)) $(OUT)/libtripmeter.a
	$(call say,LINK,$@)$(CC) $(FLAGS.$(MODE)) $(LINK) $^ $(lib_ldlibs) -o $@

$(OUT)/follower: $(call obj,tests/gateway/follower.c)
	$(call say,LINK,$@)$(CC) $(FLAGS.$(MODE)) $(LINK) $^ $(lib_ldlibs) -o $@

$(OUT)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(OUT)/%.o: %.cc Makefile
	@mkdir -p $(@D)
	$(call say,CXX,$<)$(CXX) $(ALL_CXXFLAGS) -MMD -MP -c $< -o $@

$(OUT)/%.o: %.S Makefile
	@mkdir -p $(@D)
	$(call say,AS,$<)$(CC) -I. -c $< -o $@

$(OUT)/schemas/migrations.o: $(wildcard schemas/*.sql schemas/migrations/*.sql) sinks/migrations.def

-include $(shell find build -name '*.d' 2>/dev/null)
