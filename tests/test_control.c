/* Protects: what gateways are told leaves at once, is written no oftener than promised, and survives
 * lost brokers and a producer that is no good any more. */
#include "tests/control_bench.h"

#include <stdlib.h>
#include <time.h>

static void
test_publish(void)
{
    struct bench *bench = bench_open();
    const struct record *record;

    bench_control(bench);
    bench_want(bench, bench_blocked("tenant/acme", 1000));
    record = bench_await(bench, "tenant/acme", 1);
    CU_ASSERT_STRING_EQUAL(bench_text(bench_data(record), "outcome"), "block");
    CU_ASSERT_STRING_EQUAL(bench_text(bench_data(record), "expires_at"), "2026-03-01T02:01:00Z");
    CHECK_INT("epoch", bench_integer(bench_data(record), "seq") >> CONTROL_COUNTER_BITS, EPOCH);
    CU_ASSERT(bench_await_true(bench, bench_is_caught_up));
    CU_ASSERT(bench_await_true(bench, bench_all_are_read_back));
    CHECK_INT("acknowledged", metric_get(&bench->metrics, METRIC_DECISIONS), 1);

    /* The same again says nothing new. */
    bench_pass(bench, 5000);
    bench_want(bench, bench_blocked("tenant/acme", 1000));
    bench_await_sentinel(bench, "tenant/sentinel");
    (void)bench_await(bench, "tenant/acme", 1);
    bench_close(bench);
}

static bool
is_timed(struct bench *bench)
{
    return atomic_load(&bench->metrics.delay[3]) > 0;
}

/* From the record that caused it to the broker's acknowledgement; what no event caused has none. */
static void
test_delay(void)
{
    struct bench *bench = bench_open();
    struct scope_state state = bench_blocked("tenant/acme", 1000);

    bench_control(bench);
    bench_want(bench, bench_blocked("tenant/said", 1000));
    (void)bench_await(bench, "tenant/said", 1);
    state.trigger = TEXT("e1");
    bench_pass(bench, 7);
    bench_want(bench, state);
    CU_ASSERT(bench_await_true(bench, is_timed));
    bench_pass(bench, CONTROL_SPACING_MS);
    bench_write_foreign(bench, bench_state("tenant/acme"), OLD_SEQ);
    (void)bench_await(bench, "tenant/acme", 3);
    CU_ASSERT(bench_await_true(bench, bench_all_are_read_back));
    CHECK_INT("once", atomic_load(&bench->metrics.delay[3]), 1);
    CHECK_INT("sum", atomic_load(&bench->metrics.delay_sum_ms), 7);
    bench_close(bench);
}

static void
test_spacing(void)
{
    struct bench *bench = bench_open();
    const struct record *record;

    bench_control(bench);
    bench_want(bench, bench_throttled("tenant/acme", NOW_MS + CLOCK_HOUR_MS));
    (void)bench_await(bench, "tenant/acme", 1);
    bench_want(bench, bench_blocked("tenant/acme", 1000)); /* stricter: at once */
    record = bench_await(bench, "tenant/acme", 2);
    CU_ASSERT_STRING_EQUAL(bench_text(bench_data(record), "outcome"), "block");
    bench_want(bench, bench_blocked("tenant/acme", 1001));
    bench_want(bench, bench_blocked("tenant/acme", 1002));
    bench_await_sentinel(bench, "tenant/s1");
    (void)bench_await(bench, "tenant/acme", 2);
    bench_pass(bench, CONTROL_SPACING_MS - 1);
    bench_await_sentinel(bench, "tenant/s2");
    (void)bench_await(bench, "tenant/acme", 2);
    bench_pass(bench, 1);
    record = bench_await(bench, "tenant/acme", 3);
    CHECK_INT("what is wanted last", bench_used(record), 1002);
    bench_want(bench, bench_state("tenant/acme")); /* milder: waits its second */
    bench_await_sentinel(bench, "tenant/s3");
    (void)bench_await(bench, "tenant/acme", 3);
    bench_pass(bench, CONTROL_SPACING_MS);
    record = bench_await(bench, "tenant/acme", 4);
    CU_ASSERT_STRING_EQUAL(bench_text(bench_data(record), "outcome"), "allow");
    CU_ASSERT(json_object_get(bench_data(record), "http") == NULL);
    bench_close(bench);
}

static void
test_heartbeat(void)
{
    struct bench *bench = bench_open();
    const struct record *record;

    bench_control(bench);
    (void)bench_await(bench, "engine/3", 1);
    control_heartbeat(bench->control, SHARD, NOW_MS, 42);
    bench_pass(bench, CONTROL_BEAT_MS);
    record = bench_await(bench, "engine/3", 2);
    CU_ASSERT_STRING_EQUAL(bench_text(bench_data(record), "as_of"), "2026-03-01T00:00:00Z");
    CHECK_INT("lag", bench_integer(bench_data(record), "lag_records"), 42);
    /* A worker that is stuck must not look alive. */
    bench_pass(bench, CONTROL_SILENT_MS + 1);
    bench_await_sentinel(bench, "tenant/s1");
    (void)bench_await(bench, "engine/3", 2);
    bench_close(bench);
}

static void
test_close_without_broker(void)
{
    struct bench *bench = bench_open();
    const time_t began = time(NULL);

    bench_control(bench);
    bench_want(bench, bench_blocked("tenant/acme", 1000));
    (void)bench_await(bench, "tenant/acme", 1);
    (void)rd_kafka_mock_broker_set_down(bench_mock, 1);
    bench_pass(bench, CONTROL_SPACING_MS);
    bench_want(bench, bench_state("tenant/acme"));
    bench_pass(bench, 100); /* the deadline is of the same clock */
    control_close(bench->control, 0);
    bench->control = NULL;
    CU_ASSERT(time(NULL) - began < DEADLINE_S);
    (void)rd_kafka_mock_broker_set_up(bench_mock, 1);
    bench_close(bench);
}

static void
test_retire(void)
{
    struct bench *bench = bench_open();
    const struct record *record;

    bench_write_foreign(bench, bench_state("tenant/left"), OLD_SEQ);
    bench_control(bench);
    bench_want(bench, bench_state("tenant/acme"));
    (void)bench_await(bench, "tenant/acme", 1);
    CU_ASSERT(bench_await_true(bench, bench_is_caught_up));
    CU_ASSERT(bench_await_true(bench, bench_all_are_read_back));
    bench_pass(bench, CONTROL_RETIRE_MS - 1);
    bench_await_sentinel(bench, "tenant/s1");
    (void)bench_await(bench, "tenant/acme", 1);
    bench_pass(bench, 1);
    record = bench_await(bench, "tenant/acme", 2);
    CU_ASSERT(record != NULL && record->value == NULL);
    record = bench_await(bench, "tenant/left", 2);
    CU_ASSERT(record != NULL && record->value == NULL);
    bench_close(bench);
}

static void
test_renew(void)
{
    struct bench *bench = bench_open();
    struct scope_state state = bench_blocked("tenant/acme", 1000);
    const struct record *record;

    bench_control(bench);
    state.restrictions[0].ends_ms = INT64_MAX;
    bench_want(bench, state);
    record = bench_await(bench, "tenant/acme", 1);
    CU_ASSERT_STRING_EQUAL(bench_text(bench_data(record), "expires_at"), "2026-03-02T00:00:00Z");
    bench_pass(bench, CONTROL_EXPIRY_LIMIT_MS / 2 - 1);
    bench_await_sentinel(bench, "tenant/s1");
    (void)bench_await(bench, "tenant/acme", 1);
    bench_pass(bench, 1);
    record = bench_await(bench, "tenant/acme", 2);
    CU_ASSERT_STRING_EQUAL(bench_text(bench_data(record), "expires_at"), "2026-03-02T12:00:00Z");
    bench_close(bench);
}

static void
test_expired_is_not_told(void)
{
    struct bench *bench = bench_open();

    bench_control(bench);
    bench_want(bench, bench_throttled("tenant/acme", NOW_MS));
    bench_await_sentinel(bench, "tenant/s1");
    (void)bench_await(bench, "tenant/acme", 0);
    bench_close(bench);
}

/* A throttle ends at the gateways by itself; some time later its record is cleared away. */
static void
test_ends_by_itself(void)
{
    struct bench *bench = bench_open();
    struct scope_state state = bench_throttled("key/acme/k1", NOW_MS + 5000);
    struct scope_state over = bench_state("key/acme/k1");

    over.forgotten = true;
    bench_control(bench);
    bench_want(bench, state);
    (void)bench_await(bench, "key/acme/k1", 1);
    bench_pass(bench, 60000);
    bench_want(bench, state);
    bench_await_sentinel(bench, "tenant/s1");
    (void)bench_await(bench, "key/acme/k1", 1);
    /* Again, with another end; and then it is over. */
    bench_want(bench, bench_throttled("key/acme/k1", NOW_MS + 70000));
    (void)bench_await(bench, "key/acme/k1", 2);
    bench_pass(bench, 20000);
    bench_want(bench, over);
    const struct record *record = bench_await(bench, "key/acme/k1", 3);

    CU_ASSERT(record != NULL && record->value == NULL);
    /* Nobody was told of this one: there is nothing to clear away. */
    bench_want(bench, bench_throttled("key/acme/k2", NOW_MS));
    over = bench_state("key/acme/k2");
    over.forgotten = true;
    bench_want(bench, over);
    bench_await_sentinel(bench, "tenant/s2");
    (void)bench_await(bench, "key/acme/k2", 0);
    bench_close(bench);
}

static void
count_states(void *context, const struct scope_state *state, int64_t seq, int64_t expires_ms)
{
    (void)state;
    (void)expires_ms;
    *(size_t *)context += seq > 0;
}

static bool
a_tombstone_is_under_way(struct bench *bench)
{
    bool is;

    (void)pthread_mutex_lock(&bench->control->lock);
    is = scopes_find(&bench->control->scopes, text_of("key/acme/k1"))->tombstone;
    (void)pthread_mutex_unlock(&bench->control->lock);
    return is;
}

/* Throttled once more, with the same end, before the broker has acknowledged the tombstone: it is
 * said again, and at once. */
static void
test_again_at_once(void)
{
    struct bench *bench = bench_open();
    const struct scope_state throttled = bench_throttled("key/acme/k1", NOW_MS + 90000);
    struct scope_state over = bench_state("key/acme/k1");
    size_t count = 0;

    over.forgotten = true;
    bench_control(bench);
    bench_want(bench, throttled);
    (void)bench_await(bench, "key/acme/k1", 1);
    bench_pass(bench, 10000);
    (void)rd_kafka_mock_broker_set_rtt(bench_mock, 1, 500);
    bench_want(bench, over);
    CU_ASSERT(bench_await_true(bench, a_tombstone_is_under_way));
    bench_want(bench, throttled);
    (void)rd_kafka_mock_broker_set_rtt(bench_mock, 1, 0);
    CU_ASSERT(bench_data(bench_await(bench, "key/acme/k1", 3)) != NULL);
    CU_ASSERT(bench_await_true(bench, bench_all_are_read_back));
    control_each(bench->control, count_states, &count);
    CHECK_INT("it is throttled", count, 1);
    bench_close(bench);
}

static bool
as_many_are_under_way_as_may(struct bench *bench)
{
    bool are;

    (void)pthread_mutex_lock(&bench->control->lock);
    are = bench->control->producer != NULL && rd_kafka_outq_len(bench->control->producer) >= 5;
    (void)pthread_mutex_unlock(&bench->control->lock);
    return are;
}

/* A broker that does not answer has five records to answer for: what comes then waits for them, and
 * is written as it is wanted last. */
static void
test_slow_broker(void)
{
    static const char *const under_way[] = {"tenant/1", "tenant/2", "tenant/3", "tenant/4",
                                            "tenant/5"};
    struct bench *bench = bench_open_of(1);

    bench_control(bench);
    bench_await_sentinel(bench, "tenant/s1");
    (void)rd_kafka_mock_broker_set_down(bench_mock, 1);
    for (size_t i = 0; i < sizeof under_way / sizeof under_way[0]; i++)
        bench_want(bench, bench_blocked(under_way[i], 1000));
    CU_ASSERT(bench_await_true(bench, as_many_are_under_way_as_may));
    bench_want(bench, bench_blocked("tenant/late", 1001));
    bench_turn(bench);
    bench_want(bench, bench_blocked("tenant/late", 1002));
    (void)rd_kafka_mock_broker_set_up(bench_mock, 1);
    CHECK_INT("what is wanted last", bench_used(bench_await(bench, "tenant/late", 1)), 1002);
    for (size_t i = 0; i < sizeof under_way / sizeof under_way[0]; i++)
        (void)bench_await(bench, under_way[i], 1);
    bench_close(bench);
}

static void
test_fatal_error(void)
{
    struct bench *bench = bench_open();
    const struct record *record;
    int64_t seq;

    bench_control(bench);
    bench_want(bench, bench_blocked("tenant/acme", 1000));
    seq = bench_integer(bench_data(bench_await(bench, "tenant/acme", 1)), "seq");
    bench_pass(bench, CONTROL_SPACING_MS);
    (void)pthread_mutex_lock(&bench->control->lock);
    CHECK_INT("made fatal",
              rd_kafka_test_fatal_error(bench->control->producer,
                                        RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "a test"),
              RD_KAFKA_RESP_ERR_NO_ERROR);
    (void)pthread_mutex_unlock(&bench->control->lock);
    control_wake(bench->control);
    record = bench_await(bench, "tenant/acme", 2);
    CU_ASSERT(bench_integer(bench_data(record), "seq") > seq);
    bench_want(bench, bench_blocked("tenant/after", 1000));
    (void)bench_await(bench, "tenant/after", 1);
    bench_close(bench);
}

static void
test_numbers_used_up(void)
{
    struct bench *bench = bench_open();

    bench_control(bench);
    (void)bench_await(bench, "engine/3", 1);
    (void)pthread_mutex_lock(&bench->control->lock);
    control_shard_of(bench->control, SHARD)->counter = CONTROL_COUNTER_MAX - 1;
    (void)pthread_mutex_unlock(&bench->control->lock);
    bench_want(bench, bench_blocked("tenant/acme", 1000));
    (void)bench_await(bench, "tenant/acme", 1);
    CU_ASSERT_FALSE(bench_is_silent(bench));
    bench_want(bench, bench_blocked("tenant/next", 1000));
    CU_ASSERT(bench_await_true(bench, bench_is_silent));
    (void)bench_await(bench, "tenant/next", 0);
    bench_close(bench);
}

struct seen_states {
    char names[256];
    size_t count;
};

static void
note_state(void *context, const struct scope_state *state, int64_t seq, int64_t expires_ms)
{
    struct seen_states *seen = context;
    const size_t used = strlen(seen->names);

    CU_ASSERT(seq > 0);
    CHECK_INT("expiry", expires_ms, NOW_MS + 2 * CLOCK_HOUR_MS + CONTROL_EXPIRY_GRACE_MS);
    (void)snprintf(seen->names + used, sizeof seen->names - used, "%.*s ", (int)state->scope.size,
                   state->scope.at);
    seen->count++;
}

static void
test_each(void)
{
    struct bench *bench = bench_open();
    struct seen_states seen = {.count = 0};

    bench_control(bench);
    bench_want(bench, bench_blocked("tenant/b", 1000));
    bench_want(bench, bench_state("tenant/allowed"));
    bench_want(bench, bench_blocked("key/b/1", 1000));
    bench_want(bench, bench_blocked("tenant/a", 1000));
    CU_ASSERT(bench_await_true(bench, bench_all_are_read_back));
    /* Over, and nobody needs to say so. */
    bench_want(bench, bench_throttled("tenant/over", NOW_MS));
    control_each(bench->control, note_state, &seen);
    CU_ASSERT_STRING_EQUAL(seen.names, "key/b/1 tenant/a tenant/b ");
    bench_close(bench);
}

static void
test_close_flushes(void)
{
    struct bench *bench = bench_open();
    const struct record *record;

    bench_control(bench);
    bench_want(bench, bench_blocked("tenant/acme", 1000));
    (void)bench_await(bench, "tenant/acme", 1);
    bench_want(bench, bench_state("tenant/acme")); /* would wait for its second */
    control_close(bench->control, 5000);
    bench->control = NULL;
    record = bench_await(bench, "tenant/acme", 2);
    CU_ASSERT_STRING_EQUAL(bench_text(bench_data(record), "outcome"), "allow");
    bench_close(bench);
}

static CU_TestInfo tests[] = {
    {"a block is written with everything a gateway needs", test_publish},
    {"the delay ends with the broker's acknowledgement", test_delay},
    {"stricter at once, the rest once a second", test_spacing},
    {"a heartbeat every ten seconds while the worker speaks", test_heartbeat},
    {"closing does not wait for a broker that is gone", test_close_without_broker},
    {"allowed for a day: tombstone", test_retire},
    {"what has no end is renewed at half", test_renew},
    {"what is over is not told", test_expired_is_not_told},
    {"what ends by itself is not told again", test_ends_by_itself},
    {"what is back before it was cleared away", test_again_at_once},
    {"a slow broker is not given more than it may have", test_slow_broker},
    {"a fatal producer error: new producer, states again", test_fatal_error},
    {"used up sequence numbers stop the shard", test_numbers_used_up},
    {"the status page sees restrictions in order", test_each},
    {"closing writes what waits", test_close_flushes},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_control = {"control", bench_suite_open, bench_suite_close, NULL, NULL,
                                    tests};
