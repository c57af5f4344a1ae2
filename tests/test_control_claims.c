/* Protects: who has a shard speaks for it, nobody else does, and not before it knows enough. */
#include "tests/control_bench.h"

#include <stdlib.h>
#include <time.h>

static void
test_foreign_record(void)
{
    struct bench *bench = bench_open();
    const struct record *record;

    bench_control(bench);
    bench_want(bench, bench_blocked("tenant/acme", 1000));
    (void)bench_await(bench, "tenant/acme", 1);
    CU_ASSERT(bench_await_true(bench, bench_all_are_read_back));
    bench_pass(bench, CONTROL_SPACING_MS);
    bench_write_foreign(bench, bench_state("tenant/acme"), OLD_SEQ);
    record = bench_await(bench, "tenant/acme", 3);
    CU_ASSERT_STRING_EQUAL(bench_text(bench_data(record), "outcome"), "block");
    CU_ASSERT(bench_integer(bench_data(record), "seq") > SEQ(1));
    CU_ASSERT(bench_await_true(bench, bench_all_are_read_back));
    CHECK_INT("answered", metric_get(&bench->metrics, METRIC_CONTROL_ANSWERED), 1);

    /* A record that was there before is history: claiming again reads it without answering it. */
    control_own(bench->control, SHARD, EPOCH + 1);
    struct scope_state state = bench_blocked("tenant/acme", 1000);

    state.epoch = EPOCH + 1;
    bench_want(bench, state);
    (void)bench_await(bench, "tenant/acme", 4);
    CU_ASSERT(bench_await_true(bench, bench_is_caught_up));
    CHECK_INT("answered", metric_get(&bench->metrics, METRIC_CONTROL_ANSWERED), 1);
    bench_close(bench);
}

static bool
has_stranger(struct bench *bench)
{
    bool has;

    (void)pthread_mutex_lock(&bench->control->lock);
    has = bench->control->strangers.count > 0;
    (void)pthread_mutex_unlock(&bench->control->lock);
    return has;
}

static void
test_stranger(void)
{
    struct bench *bench = bench_open();
    struct arena *arena = arena_new(4096);
    struct scope_state elsewhere = bench_blocked("tenant/elsewhere", 1000);
    const struct record *record;
    struct text scope;
    struct text tenant;

    elsewhere.shard = SHARD + 1;
    bench_write_foreign(bench, elsewhere, OLD_SEQ);
    bench_write_foreign(bench, bench_state("tenant/allowed"), OLD_SEQ);
    bench_write_foreign(bench, bench_blocked("key/ac%2Fme/k1", 1000), OLD_SEQ);
    bench_write_foreign(bench, bench_blocked("key/ac%2Fme/k1", 1001), OLD_SEQ + 1);
    bench_control(bench);
    CU_ASSERT(bench_await_true(bench, has_stranger));
    CU_ASSERT(bench_await_true(bench, bench_is_caught_up));
    CU_ASSERT_FATAL(control_stranger(bench->control, arena, &scope, &tenant));
    CU_ASSERT(text_eq(scope, TEXT("key/ac%2Fme/k1")));
    CU_ASSERT(text_eq(tenant, TEXT("ac/me")));
    CU_ASSERT_FALSE(control_stranger(bench->control, arena, &scope, &tenant));
    bench_want(bench, bench_state("key/ac%2Fme/k1"));
    record = bench_await(bench, "key/ac%2Fme/k1", 3);
    CU_ASSERT_STRING_EQUAL(bench_text(bench_data(record), "outcome"), "allow");
    CU_ASSERT(bench_await_true(bench, bench_all_are_read_back));
    CU_ASSERT_FALSE(control_stranger(bench->control, arena, &scope, &tenant));
    arena_free(arena);
    bench_close(bench);
}

/* When the topics have grown, a tenant may be at home in any shard: what restricts it from before is
 * shown to everybody who does not want it. */
static void
test_older_layout(void)
{
    struct bench *bench = bench_open();
    struct arena *arena = arena_new(4096);
    struct scope_state before = bench_blocked("tenant/before", 1000);
    struct scope_state since = bench_blocked("tenant/since", 1000);
    struct text scope;
    struct text tenant;

    before.shard = since.shard = SHARD + 1;
    bench_write_foreign(bench, before, OLD_SEQ);
    bench_write_foreign(bench, since, SEQ(7));
    bench_control(bench);
    CU_ASSERT(bench_await_true(bench, bench_is_caught_up));
    CU_ASSERT_FALSE(control_stranger(bench->control, arena, &scope, &tenant));
    control_layout(bench->control, EPOCH);
    control_own(bench->control, SHARD, EPOCH + 1);
    CU_ASSERT(bench_await_true(bench, has_stranger));
    CU_ASSERT(bench_await_true(bench, bench_is_caught_up));
    CU_ASSERT_FATAL(control_stranger(bench->control, arena, &scope, &tenant));
    CU_ASSERT(text_eq(tenant, TEXT("before")));
    CU_ASSERT_FALSE(control_stranger(bench->control, arena, &scope, &tenant));
    arena_free(arena);
    bench_close(bench);
}

/* Who has just claimed a shard may block; what is weaker waits, unless an operator says it. */
static void
test_may_allow(void)
{
    struct bench *bench = bench_open();
    struct scope_state said = bench_state("tenant/said");
    const struct record *record;

    bench_write_foreign(bench, bench_blocked("tenant/acme", 1000), OLD_SEQ);
    bench_write_foreign(bench, bench_blocked("tenant/again", 1000), OLD_SEQ);
    bench_control(bench);
    control_own(bench->control, SHARD, EPOCH + 1);
    said.operator_said = true;
    bench_want_of_next(bench, bench_state("tenant/acme"));
    bench_want_of_next(bench, bench_state("tenant/again"));
    bench_want_of_next(bench, bench_throttled("tenant/slow", INT64_MAX));
    bench_want_of_next(bench, said);
    (void)bench_await(bench, "tenant/said", 1);
    bench_want_of_next(bench, bench_blocked("tenant/again", 2000)); /* derived again */
    (void)bench_await(bench, "tenant/again", 2);
    bench_want_of_next(bench, bench_blocked("tenant/last", 1000));
    (void)bench_await(bench, "tenant/last", 1);
    (void)bench_await(bench, "tenant/acme", 1);
    (void)bench_await(bench, "tenant/slow", 0);

    control_may_allow(bench->control, SHARD);
    record = bench_await(bench, "tenant/acme", 2);
    CU_ASSERT_STRING_EQUAL(bench_text(bench_data(record), "outcome"), "allow");
    record = bench_await(bench, "tenant/slow", 1);
    CU_ASSERT_STRING_EQUAL(bench_text(bench_data(record), "outcome"), "throttle");
    record = bench_await(bench, "tenant/again", 2);
    CU_ASSERT_STRING_EQUAL(bench_text(bench_data(record), "outcome"), "block");
    bench_close(bench);
}

static void
test_later_claim(void)
{
    struct bench *bench = bench_open();

    bench_control(bench);
    bench_want(bench, bench_blocked("tenant/acme", 1000));
    (void)bench_await(bench, "tenant/acme", 1);
    bench_write_foreign(bench, bench_blocked("tenant/other", 1000), LATER_SEQ);
    CU_ASSERT(bench_await_true(bench, bench_is_silent));
    bench_want(bench, bench_blocked("tenant/silent", 1000));
    bench_want(bench, bench_state("tenant/acme"));
    bench_pass(bench, CLOCK_HOUR_MS);
    control_own(bench->control, SHARD + 1, EPOCH);
    struct scope_state other = bench_blocked("tenant/s1", 1);

    other.shard = SHARD + 1;
    bench_want(bench, other);
    (void)bench_await(bench, "tenant/s1", 1);
    (void)bench_await(bench, "tenant/acme", 1);
    (void)bench_await(bench, "tenant/silent", 0);
    bench_close(bench);
}

static void
test_disown(void)
{
    struct bench *bench = bench_open();
    struct scope_state other = bench_blocked("tenant/s1", 1);

    bench_control(bench);
    bench_want(bench, bench_blocked("tenant/acme", 1000));
    (void)bench_await(bench, "tenant/acme", 1);
    control_disown(bench->control, SHARD);
    bench_want(bench, bench_state("tenant/acme"));
    bench_want(bench, bench_blocked("tenant/late", 1000));
    bench_pass(bench, CLOCK_HOUR_MS);
    control_own(bench->control, SHARD + 1, EPOCH + 1);
    other.shard = SHARD + 1;
    other.epoch = EPOCH + 1;
    bench_want(bench, other);
    (void)bench_await(bench, "tenant/s1", 1);
    (void)bench_await(bench, "tenant/acme", 1);
    (void)bench_await(bench, "tenant/late", 0);
    bench_close(bench);
}

/* Thrown out of the group and back before anybody else had the shard: the epoch is the same, and
 * gateways ignore what is not above the highest seq they know. */
static void
test_own_again(void)
{
    struct bench *bench = bench_open();
    const struct record *record;
    int64_t told;

    bench_control(bench);
    bench_want(bench, bench_blocked("tenant/s1", 1000));
    bench_want(bench, bench_blocked("tenant/acme", 1000));
    record = bench_await(bench, "tenant/acme", 1);
    told = bench_integer(bench_data(record), "seq");
    control_disown(bench->control, SHARD);
    control_own(bench->control, SHARD, EPOCH);
    bench_want(bench, bench_blocked("tenant/acme", 1001));
    record = bench_await(bench, "tenant/acme", 2);
    CU_ASSERT(bench_integer(bench_data(record), "seq") > told);
    bench_close(bench);
}

static bool
both_are_produced(struct bench *bench)
{
    bool both;

    (void)pthread_mutex_lock(&bench->control->lock);
    both = rd_kafka_outq_len(bench->control->producer) >= 2;
    (void)pthread_mutex_unlock(&bench->control->lock);
    return both;
}

/* What waits in the producer's queue when a shard goes must not be written later; what waits there
 * for other shards must. */
static void
test_disown_takes_back(void)
{
    struct bench *bench = bench_open();
    struct scope_state other = bench_blocked("tenant/other", 1000);

    bench_control(bench);
    control_own(bench->control, SHARD + 1, EPOCH + 1);
    bench_want(bench, bench_blocked("tenant/acme", 1000));
    (void)bench_await(bench, "tenant/acme", 1);
    (void)bench_await(bench, "engine/4", 1);
    (void)rd_kafka_mock_broker_set_down(bench_mock, 1);
    bench_pass(bench, CONTROL_SPACING_MS);
    other.shard = SHARD + 1;
    other.epoch = EPOCH + 1;
    bench_want(bench, bench_state("tenant/acme"));
    bench_want(bench, other);
    CU_ASSERT(bench_await_true(bench, both_are_produced));
    control_disown(bench->control, SHARD);
    (void)rd_kafka_mock_broker_set_up(bench_mock, 1);
    (void)bench_await(bench, "tenant/other", 1);
    other.scope = TEXT("tenant/s1");
    bench_want(bench, other);
    (void)bench_await(bench, "tenant/s1", 1);
    (void)bench_await(bench, "tenant/acme", 1);
    bench_close(bench);
}

static CU_TestInfo tests[] = {
    {"a late record of another engine is answered", test_foreign_record},
    {"a restriction nobody wants is shown to the worker", test_stranger},
    {"a restriction of an older layout is shown to all", test_older_layout},
    {"before it has caught up a shard may block, not allow", test_may_allow},
    {"a later claim on the topic silences us", test_later_claim},
    {"nothing is published for a shard that is gone", test_disown},
    {"seq goes on when a shard comes back under its epoch", test_own_again},
    {"what still waits for the broker is taken back with the shard", test_disown_takes_back},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_control_claims = {
    "control_claims", bench_suite_open, bench_suite_close, NULL, NULL, tests};
