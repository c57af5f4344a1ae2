/* Protects: what is frozen, in which order it is claimed, what an outcome leads to, and when. */
#include "sinks/outbox.h"
#include "tests/alerts_env.h"
#include "tests/check.h"

#define T0 INT64_C(1773500000000)

struct desk {
    struct alerts_env env;
    struct outbox *outbox;
    struct arena *arena;
};

static void
open_desk(struct desk *desk)
{
    struct err why;

    alerts_env_open(&desk->env);
    desk->arena = arena_new(1 << 20);
    desk->outbox = outbox_open(&desk->env.config, &why);
    CU_ASSERT_PTR_NOT_NULL_FATAL(desk->outbox);
    outbox_set_now(desk->outbox, T0);
    CU_ASSERT_TRUE_FATAL(outbox_endpoints(desk->outbox, &desk->env.config, &why));
}

static void
close_desk(struct desk *desk)
{
    outbox_close(desk->outbox);
    arena_free(desk->arena);
    alerts_env_close(&desk->env);
}

static int
route_all(struct desk *desk)
{
    struct err why = {.text = ""};
    int count = 0;
    int done;

    while ((done = outbox_route(desk->outbox, &desk->env.config, &why)) > 0)
        count += done;
    if (done < 0)
        (void)printf("%s\n", why.text);
    CU_ASSERT_EQUAL(done, 0);
    return count;
}

static int
claim_one(struct desk *desk, struct delivery *delivery)
{
    struct err why = {.text = ""};
    const int claimed = outbox_claim(desk->outbox, &desk->env.config, desk->arena, delivery, &why);

    if (claimed < 0)
        (void)printf("%s\n", why.text);
    CU_ASSERT(claimed >= 0);
    return claimed;
}

static enum fate
finish(struct desk *desk, const struct delivery *delivery, enum verdict verdict, const char *text)
{
    struct attempt attempt = {.verdict = verdict};
    struct err why = {.text = ""};
    enum fate fate = FATE_STALE;

    (void)text_copy(attempt.text, sizeof attempt.text, text_of(text));
    if (!outbox_finish(desk->outbox, delivery, &attempt, &fate, &why)) {
        (void)printf("%s\n", why.text);
        CU_FAIL("finish failed");
    }
    return fate;
}

static void
one_endpoint(struct desk *desk)
{
    desk->env.config.alerts.receivers[0].endpoint_count = 1;
    desk->env.config.alerts.receivers[1].endpoint_count = 1;
}

/* Info goes to the webhook, warning and above to both; a crash or a second look changes nothing. */
static void
test_routing(void)
{
    struct desk desk;

    open_desk(&desk);
    alerts_env_step(&desk.env, "acme", "fire", "info", 50);
    alerts_env_step(&desk.env, "acme", "step", "warning", 75);
    CHECK_INT("both", route_all(&desk), 2);
    CHECK_INT("again", route_all(&desk), 0);
    CU_ASSERT_STRING_EQUAL(alerts_env_ask(&desk.env,
                                          "SELECT string_agg(endpoint || ' ' || seq, ', ' ORDER BY "
                                          "seq, endpoint) FROM tripmeter.outbox"),
                           "billing/webhook/0 1, billing/email/0 2, billing/webhook/0 2");
    CU_ASSERT_STRING_EQUAL(alerts_env_ask(&desk.env,
                                          "SELECT count(*) FROM tripmeter.outbox WHERE id ~ "
                                          "'^tm_[a-z2-7]{26}$' AND state = 'queued'"),
                           "3");
    close_desk(&desk);
}

/* The head of a group first, one at a time; what is claimed twice carries another token. */
static void
test_order_and_fencing(void)
{
    struct desk desk;
    struct delivery first;
    struct delivery again;
    struct delivery other;

    open_desk(&desk);
    one_endpoint(&desk);
    alerts_env_step(&desk.env, "acme", "fire", "info", 50);
    alerts_env_step(&desk.env, "acme", "step", "warning", 75);
    alerts_env_step(&desk.env, "beta", "fire", "info", 50);
    (void)route_all(&desk);
    CHECK_INT("acme", claim_one(&desk, &first), 1);
    CHECK_INT("beta", claim_one(&desk, &other), 1);
    CU_ASSERT_STRING_NOT_EQUAL(first.group.at, other.group.at);
    CHECK_INT("acme's second waits", claim_one(&desk, &again), 0);

    outbox_set_now(desk.outbox, T0 + LEASE_MS - 1);
    CHECK_INT("leased", claim_one(&desk, &again), 0);
    outbox_set_now(desk.outbox, T0 + LEASE_MS);
    CHECK_INT("lease over", claim_one(&desk, &again), 1);
    CU_ASSERT_STRING_EQUAL(again.id, first.id);
    CHECK_INT("attempts", again.attempts, 2);
    CHECK_INT("old token", finish(&desk, &first, VERDICT_DELIVERED, ""), FATE_STALE);
    CHECK_INT("old token", finish(&desk, &first, VERDICT_DEAD, "no"), FATE_STALE);
    CHECK_INT("new token", finish(&desk, &again, VERDICT_DELIVERED, ""), FATE_DELIVERED);
    CHECK_INT("twice", finish(&desk, &again, VERDICT_DELIVERED, ""), FATE_STALE);
    close_desk(&desk);
}

/* Retries until it is too old: the last attempt falls on the limit, then the message is dead and
 * engineering hears of it, once. */
static void
check_schedule(const char *severity, int64_t limit_ms, int least)
{
    struct desk desk;
    struct delivery delivery;
    int64_t now_ms = T0;
    int attempts = 0;

    open_desk(&desk);
    one_endpoint(&desk);
    alerts_env_step(&desk.env, "acme", "fire", severity, 90);
    (void)route_all(&desk);
    for (enum fate fate = FATE_RETRY; fate == FATE_RETRY && attempts < 1000;) {
        if (claim_one(&desk, &delivery) == 0) { /* a minute later: what a probe waits for */
            now_ms += 1000;
            outbox_set_now(desk.outbox, now_ms);
            continue;
        }
        attempts++;
        fate = finish(&desk, &delivery, VERDICT_RETRY, "connection refused");
        CHECK_INT(severity, fate == FATE_DEAD, now_ms >= T0 + limit_ms);
        if (now_ms < T0 + limit_ms - 2 * INT64_C(3600000) && attempts > 5) {
            now_ms += 3600000; /* probes of a whole hour prove nothing more */
            outbox_set_now(desk.outbox, now_ms);
        }
    }
    CU_ASSERT(attempts >= least);
    CU_ASSERT_STRING_EQUAL(
        alerts_env_ask(&desk.env, "SELECT state || ' ' || last_error FROM tripmeter.outbox"),
        "dead connection refused");
    CU_ASSERT_STRING_EQUAL(alerts_env_ask(&desk.env, "SELECT rule || ' ' || severity FROM "
                                                     "tripmeter.episode WHERE rule <> "
                                                     "'quota/api_calls'"),
                           "delivery/dead error");
    CHECK_INT("told to engineering", route_all(&desk), 1);
    CU_ASSERT_STRING_EQUAL(
        alerts_env_ask(&desk.env, "SELECT endpoint FROM tripmeter.outbox WHERE state = 'queued'"),
        "engineering/webhook/0");
    close_desk(&desk);
}

static void
test_dead_by_age(void)
{
    check_schedule("critical", 24 * INT64_C(3600000), 12);
    check_schedule("warning", 72 * INT64_C(3600000), 10);
}

/* Five failures in a row: one attempt a minute, of one message; the others are not delayed; the
 * first success lets everything go at once. */
static void
test_probe(void)
{
    static const char *const tenants[] = {"t1", "t2", "t3", "t4", "t5", "t6"};
    struct desk desk;
    struct delivery delivery;
    int64_t now_ms = T0;

    open_desk(&desk);
    one_endpoint(&desk);
    for (size_t i = 0; i < 6; i++)
        alerts_env_step(&desk.env, tenants[i], "fire", "critical", 90);
    (void)route_all(&desk);
    for (int i = 0; i < 5; i++) {
        CHECK_INT("before", claim_one(&desk, &delivery), 1);
        (void)finish(&desk, &delivery, VERDICT_RETRY, "500");
    }
    CHECK_INT("failing: t6 waits too", claim_one(&desk, &delivery), 0);
    for (int i = 0; i < 3; i++) {
        now_ms += ENDPOINT_PROBE_MS - 1;
        outbox_set_now(desk.outbox, now_ms);
        CHECK_INT("not yet", claim_one(&desk, &delivery), 0);
        outbox_set_now(desk.outbox, ++now_ms);
        CHECK_INT("a probe", claim_one(&desk, &delivery), 1);
        struct delivery second;

        CHECK_INT("only one", claim_one(&desk, &second), 0);
        if (i < 2)
            (void)finish(&desk, &delivery, VERDICT_RETRY, "500");
    }
    CHECK_INT("delivered", finish(&desk, &delivery, VERDICT_DELIVERED, ""), FATE_DELIVERED);
    for (int i = 0; i < 5; i++) {
        CHECK_INT("all the others", claim_one(&desk, &delivery), 1);
        (void)finish(&desk, &delivery, VERDICT_DELIVERED, "");
    }
    close_desk(&desk);
}

/* 410: nothing is sent there any more, engineering hears of it; a new target starts anew, and what it
 * takes ends the alert. */
static void
test_gone(void)
{
    static const char open_troubles[] = "SELECT count(*) FROM tripmeter.episode WHERE rule LIKE"
                                        " 'delivery/%' AND resolved_at IS NULL";
    struct desk desk;
    struct delivery delivery;
    struct err why;

    open_desk(&desk);
    one_endpoint(&desk);
    alerts_env_step(&desk.env, "acme", "fire", "info", 50);
    alerts_env_step(&desk.env, "beta", "fire", "info", 50);
    (void)route_all(&desk);
    (void)claim_one(&desk, &delivery);
    CHECK_INT("gone", finish(&desk, &delivery, VERDICT_GONE, "it answered 410"), FATE_DEAD);
    CU_ASSERT_STRING_EQUAL(alerts_env_ask(&desk.env, "SELECT count(*) FROM tripmeter.outbox WHERE "
                                                     "state = 'dead'"),
                           "2");
    alerts_env_step(&desk.env, "acme", "step", "info", 60);
    (void)route_all(&desk);
    CU_ASSERT_STRING_EQUAL(
        alerts_env_ask(&desk.env, "SELECT reason FROM tripmeter.outbox WHERE state = 'suppressed'"),
        "endpoint is disabled");
    CHECK_INT("engineering", claim_one(&desk, &delivery), 1);
    CU_ASSERT_STRING_EQUAL(delivery.endpoint.at, "engineering/webhook/0");
    CU_ASSERT_PTR_NOT_NULL(strstr(delivery.body.at, "delivery/disabled"));
    (void)finish(&desk, &delivery, VERDICT_DELIVERED, "");

    desk.env.endpoints[1][0].target = "http://127.0.0.1:1/elsewhere";
    CU_ASSERT_TRUE(outbox_endpoints(desk.outbox, &desk.env.config, &why));
    alerts_env_step(&desk.env, "acme", "step", "info", 70);
    (void)route_all(&desk);
    CHECK_INT("again", claim_one(&desk, &delivery), 1);
    CU_ASSERT_STRING_EQUAL(delivery.endpoint.at, "billing/webhook/0");
    CU_ASSERT_STRING_EQUAL(alerts_env_ask(&desk.env, open_troubles), "1");
    (void)finish(&desk, &delivery, VERDICT_DELIVERED, "");
    CU_ASSERT_STRING_EQUAL(alerts_env_ask(&desk.env, open_troubles), "0");
    close_desk(&desk);
}

struct over_row {
    const char *name;
    const char *fate; /* of the first message: what the endpoint heard */
    const char *reason;
    bool restricts;
    int minutes;          /* it lasted */
    const char *expected; /* messages and states in order */
};

static const struct over_row over_rows[] = {
    {"told", "delivered", "limit_raised", false, 1, "firing delivered, resolved queued"},
    {"under way", "leased", "limit_raised", false, 1, "firing leased, resolved queued"},
    {"short", "queued", "limit_raised", false, 4, "firing superseded"},
    {"long", "queued", "limit_raised", false, 5, "firing superseded, missed queued"},
    {"short block", "queued", "limit_raised", true, 1, "firing superseded, missed queued"},
    {"dead, long", "dead", "cleared", false, 5, "firing dead, missed queued"},
    {"dead, short", "dead", "cleared", false, 4, "firing dead"},
    {"new month", "delivered", "period_rollover", false, 900,
     "firing delivered, resolved suppressed"},
    {"new month, block", "delivered", "period_rollover", true, 900,
     "firing delivered, resolved queued"},
    {"new month, untold", "queued", "period_rollover", false, 900,
     "firing queued, resolved suppressed"},
};

/* The end of an alert: who hears of it depends on what they heard before. */
static void
test_over(void)
{
    struct desk desk;
    struct delivery delivery;

    open_desk(&desk);
    one_endpoint(&desk);
    for (size_t i = 0; i < sizeof over_rows / sizeof over_rows[0]; i++) {
        const struct over_row *row = &over_rows[i];
        const char *ask =
            "SELECT string_agg(message || ' ' || state, ', ' ORDER BY group_seq) FROM "
            "tripmeter.outbox WHERE endpoint LIKE 'billing/%'";

        alerts_env_do(&desk.env, "TRUNCATE tripmeter.outbox, tripmeter.delivery_group, "
                                 "tripmeter.alert_counter CASCADE");
        alerts_env_tell(&desk.env, &(struct told_transition){"acme", "fire", "warning", 75,
                                                             row->restricts, NULL, 0});
        (void)route_all(&desk);
        if (strcmp(row->fate, "queued") != 0)
            (void)claim_one(&desk, &delivery);
        if (strcmp(row->fate, "delivered") == 0)
            (void)finish(&desk, &delivery, VERDICT_DELIVERED, "");
        if (strcmp(row->fate, "dead") == 0)
            (void)finish(&desk, &delivery, VERDICT_DEAD, "550");
        alerts_env_tell(&desk.env, &(struct told_transition){"acme", "resolve", "warning", 75,
                                                             false, row->reason, row->minutes});
        (void)route_all(&desk);
        const char *found = alerts_env_ask(&desk.env, ask);

        if (strcmp(found, row->expected) != 0)
            (void)printf("[%s] %s\n", row->name, found);
        CU_ASSERT_STRING_EQUAL(found, row->expected);
    }
    close_desk(&desk);
}

/* Two programs route at once: every transition once, in the order of its alert. */
static void
test_two_routers(void)
{
    struct desk desk;
    struct err why = {.text = ""};
    struct outbox *other;

    open_desk(&desk);
    other = outbox_open(&desk.env.config, &why);
    CU_ASSERT_PTR_NOT_NULL_FATAL(other);
    alerts_env_step(&desk.env, "acme", "fire", "info", 50);
    alerts_env_step(&desk.env, "acme", "step", "info", 60);
    alerts_env_step(&desk.env, "beta", "fire", "info", 50);
    /* Somebody else holds acme's first: its second must wait, beta's need not. */
    alerts_env_do(&desk.env, "BEGIN");
    alerts_env_do(&desk.env,
                  "SELECT seq FROM tripmeter.transition WHERE tenant = 'acme' AND seq = 1 "
                  "FOR UPDATE");
    CHECK_INT("beta", outbox_route(other, &desk.env.config, &why), 1);
    CHECK_INT("nothing else", outbox_route(other, &desk.env.config, &why), 0);
    alerts_env_do(&desk.env, "COMMIT");
    CHECK_INT("acme 1", outbox_route(other, &desk.env.config, &why), 1);
    CHECK_INT("acme 2", outbox_route(desk.outbox, &desk.env.config, &why), 1);
    CU_ASSERT_STRING_EQUAL(
        alerts_env_ask(&desk.env,
                       "SELECT string_agg(group_seq || ':' || seq, ' ' ORDER BY group_seq)"
                       " FROM tripmeter.outbox WHERE kind = 'webhook'"
                       " AND group_key LIKE '%acme%'"),
        "1:1 2:2");
    outbox_close(other);
    close_desk(&desk);
}

/* What is not urgent waits for group_wait; what is takes along what waits before it. */
static void
test_group_wait(void)
{
    struct desk desk;
    struct delivery delivery;

    open_desk(&desk);
    one_endpoint(&desk);
    desk.env.config.alerts.group_wait_ms = 15000;
    alerts_env_step(&desk.env, "acme", "fire", "warning", 75);
    (void)route_all(&desk);
    outbox_set_now(desk.outbox, T0 + 14999);
    CHECK_INT("waits", claim_one(&desk, &delivery), 0);
    alerts_env_step(&desk.env, "acme", "step", "critical", 90);
    (void)route_all(&desk);
    CHECK_INT("hurried", claim_one(&desk, &delivery), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(delivery.body.at, "\"step\":75"));
    (void)finish(&desk, &delivery, VERDICT_DELIVERED, "");
    CHECK_INT("critical", claim_one(&desk, &delivery), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(delivery.body.at, "\"step\":90"));
    alerts_env_step(&desk.env, "beta", "fire", "warning", 75);
    (void)route_all(&desk);
    outbox_set_now(desk.outbox, T0 + 29999);
    CHECK_INT("beta", claim_one(&desk, &delivery), 1);
    close_desk(&desk);
}

static void
test_step_amount(void)
{
    struct desk desk;
    struct delivery delivery;

    open_desk(&desk);
    one_endpoint(&desk);
    alerts_env_step(&desk.env, "acme", "fire", "warning", 75);
    alerts_env_do(&desk.env, "UPDATE tripmeter.transition SET step = 0, step_amount = 38000,"
                             " crossed = '{50,75}', crossed_amounts = '{30000,38000}'");
    (void)route_all(&desk);
    CHECK_INT("claims", claim_one(&desk, &delivery), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(delivery.body.at, "\"step\":null,\"stepAmount\":\"38000\","
                                                    "\"crossed\":[50,75],\"crossedAmounts\":"
                                                    "[\"30000\",\"38000\"]"));
    close_desk(&desk);
}

/* A second alert of acme's group: all of its first, under another fingerprint. */
static void
copy_alert(struct desk *desk, const char *severity)
{
    char sql[512];

    alerts_env_do(&desk->env,
                  "INSERT INTO tripmeter.alert_counter VALUES ('00000000000000ff', 1, 1)");
    alerts_env_do(&desk->env, "INSERT INTO tripmeter.episode SELECT (jsonb_populate_record(e,"
                              " '{\"fingerprint\": \"00000000000000ff\"}')).*"
                              " FROM tripmeter.episode e WHERE tenant = 'acme'");
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO tripmeter.transition SELECT (jsonb_populate_record(t,"
                   " '{\"fingerprint\": \"00000000000000ff\", \"severity\": \"%s\"}')).*"
                   " FROM tripmeter.transition t WHERE tenant = 'acme'",
                   severity);
    alerts_env_do(&desk->env, sql);
    alerts_env_do(&desk->env, "UPDATE tripmeter.transition SET created_at = now()"
                              " WHERE fingerprint = '00000000000000ff'");
}

/* What is routed together is told as if it had been routed one by one. */
static void
test_batch(void)
{
    struct desk desk;
    struct err why = {.text = ""};
    struct delivery delivery;

    open_desk(&desk);
    one_endpoint(&desk);
    desk.env.config.alerts.group_wait_ms = 15000;
    alerts_env_step(&desk.env, "acme", "fire", "warning", 75);
    alerts_env_step(&desk.env, "beta", "fire", "warning", 75);
    alerts_env_step(&desk.env, "beta", "step", "warning", 80);
    copy_alert(&desk, "critical");
    CHECK_INT("the first of each", outbox_route(desk.outbox, &desk.env.config, &why), 3);
    CHECK_INT("beta's second", outbox_route(desk.outbox, &desk.env.config, &why), 1);
    CHECK_INT("nothing", outbox_route(desk.outbox, &desk.env.config, &why), 0);
    CU_ASSERT_STRING_EQUAL(
        alerts_env_ask(&desk.env, "SELECT string_agg(group_seq || ' ' || severity, ', '"
                                  " ORDER BY group_seq) || (SELECT ', last ' || last_seq FROM"
                                  " tripmeter.delivery_group WHERE group_key LIKE '%acme%')"
                                  " FROM tripmeter.outbox WHERE group_key LIKE '%acme%'"),
        "1 warning, 2 warning, last 2");
    CHECK_INT("hurried", claim_one(&desk, &delivery), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(delivery.group.at, "acme"));
    (void)finish(&desk, &delivery, VERDICT_DELIVERED, "");
    CHECK_INT("critical", claim_one(&desk, &delivery), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(delivery.body.at, "00000000000000ff"));
    CHECK_INT("beta waits", claim_one(&desk, &delivery), 0);
    close_desk(&desk);
}

/* An alert that cannot be routed holds up none of those before it. */
static void
test_unroutable(void)
{
    struct desk desk;
    struct err why = {.text = ""};
    int routed = 0;

    open_desk(&desk);
    alerts_env_step(&desk.env, "acme", "fire", "warning", 75);
    alerts_env_step(&desk.env, "beta", "fire", "warning", 75);
    alerts_env_step(&desk.env, "long", "fire", "warning", 75);
    alerts_env_do(&desk.env, "UPDATE tripmeter.transition SET labels = labels ||"
                             " jsonb_build_object('tenant', repeat('x', 2000))"
                             " WHERE tenant = 'long'");
    CHECK_INT("together", outbox_route(desk.outbox, &desk.env.config, &why), -1);
    for (int i = 0; i < 5; i++) {
        const int done = outbox_route(desk.outbox, &desk.env.config, &why);

        routed += done > 0 ? done : 0;
    }
    CHECK_INT("the others", routed, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "too long"));
    close_desk(&desk);
}

/* Mail of one episode is a thread; 120 hours of failing switch an endpoint off. */
static void
test_thread_and_failing(void)
{
    struct desk desk;
    struct delivery first;
    struct delivery second;

    open_desk(&desk);
    desk.env.config.alerts.receivers[1].endpoints++; /* mail only */
    desk.env.config.alerts.receivers[1].endpoint_count = 1;
    alerts_env_step(&desk.env, "acme", "fire", "warning", 75);
    alerts_env_step(&desk.env, "acme", "step", "critical", 90);
    (void)route_all(&desk);
    CHECK_INT("first", claim_one(&desk, &first), 1);
    CU_ASSERT_STRING_EQUAL(first.thread, "");
    (void)finish(&desk, &first, VERDICT_DELIVERED, "");
    CHECK_INT("second", claim_one(&desk, &second), 1);
    CU_ASSERT_STRING_EQUAL(second.thread, first.id);
    (void)finish(&desk, &second, VERDICT_RETRY, "no route");

    alerts_env_do(&desk.env, "UPDATE tripmeter.endpoint_state SET failing_since = failing_since - "
                             "interval '120 h' WHERE failing_since IS NOT NULL");
    outbox_set_now(desk.outbox, T0 + 7000);
    CHECK_INT("second again", claim_one(&desk, &second), 1);
    (void)finish(&desk, &second, VERDICT_RETRY, "no route");
    CU_ASSERT_STRING_EQUAL(alerts_env_ask(&desk.env,
                                          "SELECT endpoint || ': ' || disabled_why FROM "
                                          "tripmeter.endpoint_state WHERE disabled_at IS NOT NULL"),
                           "billing/email/0: it has been failing for 120 hours");
    CU_ASSERT_STRING_EQUAL(alerts_env_ask(&desk.env, "SELECT severity FROM tripmeter.episode WHERE "
                                                     "rule = 'delivery/disabled'"),
                           "critical");
    close_desk(&desk);
}

static CU_TestInfo tests[] = {
    {"routing", test_routing},
    {"order and fencing", test_order_and_fencing},
    {"dead by age", test_dead_by_age},
    {"probe", test_probe},
    {"gone", test_gone},
    {"over", test_over},
    {"two routers", test_two_routers},
    {"group wait", test_group_wait},
    {"a step that is an amount", test_step_amount},
    {"batch", test_batch},
    {"unroutable", test_unroutable},
    {"thread and failing", test_thread_and_failing},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_outbox = {.pName = "outbox", .pTests = tests};
