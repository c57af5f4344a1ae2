/* Protects: the frozen messages of the control topic.  schemas/examples/control-*.json are what the
 * engine writes, to the byte of every value, and what the schema says. */
#include "sinks/control_message.h"
#include "tests/check.h"

#include <jansson.h>
#include <stdlib.h>
#include <sys/wait.h>

#define NOW_MS INT64_C(1772323200123) /* 2026-03-01T00:00:00.123Z */
#define END_MS INT64_C(1772323205500)

static const struct control_stamp stamp = {"//tripmeter/gateway-usage", (INT64_C(17) << 24) | 5,
                                           NOW_MS};

static struct scope_state
state_of(const char *scope)
{
    return (struct scope_state){.scope = text_of(scope),
                                .tenant = TEXT("acme corp"),
                                .shard = 3,
                                .epoch = 17,
                                .at_ms = NOW_MS - 40};
}

static struct scope_state
block_example(void)
{
    struct scope_state state = state_of("tenant/acme%20corp");
    const struct restriction plan = {
        .code = CODE_plan_allowance_exhausted,
        .rank = 3,
        .rule = TEXT("quota/monthly_cost"),
        .policy = 7,
        .since_ms = NOW_MS - 40,
        .ends_ms = INT64_C(1775001600000),
        .has_usage = true,
        .is_money = true,
        .used = INT64_C(2000000000001),
        .limit = INT64_C(2000000000000),
        .currency = TEXT("USD"),
        .resets_ms = INT64_C(1775001600000),
    };
    const struct restriction hold = {
        .code = CODE_compliance_hold,
        .rank = 1,
        .rule = TEXT("operator"),
        .policy = 6,
        .since_ms = NOW_MS - CLOCK_HOUR_MS,
        .ends_ms = NOW_MS + CLOCK_HOUR_MS,
        .reason = TEXT("chargeback \"4711\""),
        .actor = TEXT("jo\xc3\xab"),
    };

    state.trigger = TEXT("evt-0001");
    scope_restrict(&state, &plan);
    scope_restrict(&state, &hold);
    return state;
}

static struct scope_state
throttle_example(void)
{
    struct scope_state state = state_of("key/acme%20corp/k1");
    const struct restriction burst = {
        .code = CODE_key_rate_limited,
        .rank = 4,
        .rule = TEXT("burst/key"),
        .policy = 7,
        .since_ms = NOW_MS - 40,
        .ends_ms = END_MS,
        .has_usage = true,
        .used = 61,
        .limit = 60,
    };

    scope_restrict(&state, &burst);
    return state;
}

static struct scope_state
downgrade_example(void)
{
    struct scope_state state = state_of("model/acme%20corp/gpt-x");
    const struct restriction model = {.code = CODE_model_downgraded,
                                      .rank = 2,
                                      .rule = TEXT("model/trial"),
                                      .policy = 7,
                                      .since_ms = NOW_MS,
                                      .ends_ms = INT64_MAX};

    scope_restrict(&state, &model);
    return state;
}

static struct scope_state
allow_example(void)
{
    return state_of("project/acme%20corp/web");
}

/* TRIPMETER_WRITE_EXAMPLES=1 writes what the code makes instead, to be looked at before it is kept. */
static void
compare(const char *name, const char *value)
{
    char path[256];
    json_t *made = json_loads(value, JSON_REJECT_DUPLICATES, NULL);
    json_t *kept;

    (void)snprintf(path, sizeof path, "schemas/examples/control-%s.json", name);
    CU_ASSERT_FATAL(made != NULL);
    if (getenv("TRIPMETER_WRITE_EXAMPLES") != NULL) /* NOLINT(concurrency-mt-unsafe): one thread */
        CHECK_INT(name, json_dump_file(made, path, JSON_INDENT(2)), 0);
    kept = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    CHECK_INT(name, json_equal(made, kept), 1);
    json_decref(made);
    json_decref(kept);
}

static void
test_examples(void)
{
    static const struct {
        const char *name;
        struct scope_state (*state)(void);
        bool restricts;
    } rows[] = {
        {"block", block_example, true},
        {"throttle", throttle_example, true},
        {"downgrade", downgrade_example, true},
        {"allow", allow_example, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct scope_state state = rows[i].state();
        struct control_record record;
        size_t size;
        char *value = control_scope_message(&state, &stamp, &size);

        CU_ASSERT_FATAL(value != NULL);
        compare(rows[i].name, value);
        CHECK_INT(rows[i].name, control_parse((struct text){value, size}, &record), true);
        CHECK_INT(rows[i].name, record.shard, 3);
        CHECK_INT(rows[i].name, record.seq, stamp.seq);
        CHECK_INT(rows[i].name, record.time_ms, NOW_MS);
        CHECK_INT(rows[i].name, record.restricts, rows[i].restricts);
        free(value);
    }
}

static void
test_heartbeat(void)
{
    const struct control_beat beat = {.shard = 3, .as_of_ms = NOW_MS - 40, .lag_records = 12};
    struct control_record record;
    size_t size;
    char *value = control_beat_message(&beat, &stamp, &size);

    CU_ASSERT_FATAL(value != NULL);
    compare("engine", value);
    CU_ASSERT(control_parse((struct text){value, size}, &record));
    CHECK_INT("shard", record.shard, 3);
    CHECK_INT("restricts", record.restricts, false);
    free(value);
}

static void
test_schema(void)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    const int status = system("/usr/bin/python3 tests/validate.py schemas/control.v1.json "
                              "schemas/examples/control-*.json");

    CHECK_INT("validate.py", WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

static void
test_expiry(void)
{
    static const struct {
        const char *row;
        int64_t ends_ms;
        int64_t expires_ms;
        int rank;
        bool is_cut;
    } rows[] = {
        {"a minute after its end", NOW_MS + 1000, NOW_MS + 61000, 3, false},
        {"a burst exactly at its end", NOW_MS + 1000, NOW_MS + 1000, 4, false},
        {"24 hours with the minute", NOW_MS + CLOCK_DAY_MS - CLOCK_MINUTE_MS, NOW_MS + CLOCK_DAY_MS,
         3, false},
        {"a ms more is cut", NOW_MS + CLOCK_DAY_MS - CLOCK_MINUTE_MS + 1, NOW_MS + CLOCK_DAY_MS, 3,
         true},
        {"no end", INT64_MAX, NOW_MS + CLOCK_DAY_MS, 3, true},
        {"no end, burst", INT64_MAX, NOW_MS + CLOCK_DAY_MS, 4, true},
        {"over", NOW_MS - CLOCK_HOUR_MS, NOW_MS - CLOCK_HOUR_MS + CLOCK_MINUTE_MS, 3, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct restriction restriction = {
            .code = CODE_key_rate_limited, .rank = rows[i].rank, .ends_ms = rows[i].ends_ms};

        CHECK_INT(rows[i].row, control_expiry(&restriction, NOW_MS), rows[i].expires_ms);
        CHECK_INT(rows[i].row, control_expiry_is_cut(&restriction, NOW_MS), rows[i].is_cut);
    }
}

static void
test_current(void)
{
    const struct scope_state both = block_example();
    const struct scope_state burst = throttle_example();
    struct scope_state current;

    control_current(&both, NOW_MS, &current);
    CHECK_INT("both", current.count, 2);
    control_current(&both, NOW_MS + CLOCK_HOUR_MS + CLOCK_MINUTE_MS - 1, &current);
    CHECK_INT("last ms of the hold", current.count, 2);
    control_current(&both, NOW_MS + CLOCK_HOUR_MS + CLOCK_MINUTE_MS, &current);
    CHECK_INT("the hold is over", current.count, 1);
    CHECK_INT("the plan stays", current.restrictions[0].code, CODE_plan_allowance_exhausted);
    control_current(&burst, END_MS - 1, &current);
    CHECK_INT("last ms of a burst", current.count, 1);
    control_current(&burst, END_MS, &current);
    CHECK_INT("burst over", current.count, 0);
}

static void
test_refused(void)
{
    static const struct {
        const char *row;
        struct text value;
    } rows[] = {
        {"empty", TEXT_ROW("")},
        {"no JSON", TEXT_ROW("block")},
        {"cut", TEXT_ROW("{\"type\":\"com.tripmeter.control.scope.v1\"")},
        {"an array", TEXT_ROW("[]")},
        {"no data", TEXT_ROW("{\"type\":\"com.tripmeter.control.scope.v1\","
                             "\"time\":\"2026-03-01T00:00:00Z\"}")},
        {"another type", TEXT_ROW("{\"type\":\"x\",\"time\":\"2026-03-01T00:00:00Z\",\"data\":{"
                                  "\"shard\":1,\"seq\":1,\"outcome\":\"allow\"}}")},
        {"seq is text", TEXT_ROW("{\"type\":\"com.tripmeter.control.scope.v1\","
                                 "\"time\":\"2026-03-01T00:00:00Z\",\"data\":{\"shard\":1,"
                                 "\"seq\":\"1\",\"outcome\":\"allow\"}}")},
        {"negative seq", TEXT_ROW("{\"type\":\"com.tripmeter.control.scope.v1\","
                                  "\"time\":\"2026-03-01T00:00:00Z\",\"data\":{\"shard\":1,"
                                  "\"seq\":-1,\"outcome\":\"allow\"}}")},
        {"shard too large", TEXT_ROW("{\"type\":\"com.tripmeter.control.scope.v1\","
                                     "\"time\":\"2026-03-01T00:00:00Z\",\"data\":{"
                                     "\"shard\":4294967296,\"seq\":1,\"outcome\":\"allow\"}}")},
        {"no time", TEXT_ROW("{\"type\":\"com.tripmeter.control.scope.v1\",\"data\":{\"shard\":1,"
                             "\"seq\":1,\"outcome\":\"allow\"}}")},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct control_record record;

        CHECK_INT(rows[i].row, control_parse(rows[i].value, &record), false);
    }
}

static CU_TestInfo tests[] = {
    {"the examples are what is written", test_examples},
    {"heartbeat", test_heartbeat},
    {"the examples hold what the schema says", test_schema},
    {"when a restriction expires", test_expiry},
    {"what has expired is left out", test_current},
    {"what is no control message is refused", test_refused},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_control_message = {"control_message", NULL, NULL, NULL, NULL, tests};
