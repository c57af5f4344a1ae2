/* Protects: what alerts say, word for word (tests/golden/alert_*; GOLDEN_WRITE=1 writes them anew). */
#include "sinks/message.h"
#include "tests/check.h"
#include "tests/zone_file.h"

#include <stdlib.h>

#define LINK "https://tripmeter.example.com/status"

/* ---- golden files ---------------------------------------------------------------------------- */

static void
check_golden(const char *name, const char *kind, struct text text)
{
    char path[128];
    char *expected = NULL;
    size_t room = 0;

    (void)snprintf(path, sizeof path, "tests/golden/alert_%s.%s", name, kind);
    if (getenv("GOLDEN_WRITE") != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        FILE *out = fopen(path, "w");

        CU_ASSERT_PTR_NOT_NULL_FATAL(out);
        (void)fwrite(text.at, 1, text.size, out);
        (void)fclose(out);
    }
    FILE *file = fopen(path, "r");

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    const ssize_t size = getdelim(&expected, &room, '\0', file);

    (void)fclose(file);
    const bool same = size >= 0 && text_eq(text, (struct text){expected, (size_t)size});

    if (!same)
        (void)printf("\n%s is now:\n%.*s\n", path, (int)text.size, text.at);
    CU_ASSERT_TRUE(same);
    free(expected);
}

/* ---- views ----------------------------------------------------------------------------------- */

#define MARCH_1  INT64_C(1772319600000) /* 2026-03-01T00:00 in Berlin */
#define MARCH_14 INT64_C(1773475920000) /* 2026-03-14T08:12:00Z */
#define APRIL_1  INT64_C(1774994400000) /* 2026-04-01T00:00 in Berlin */

static struct alert_view
quota_view(void)
{
    struct alert_view view = {
        .transition =
            {.rule = TEXT("quota/api_calls"),
             .labels =
                 {[LABEL_TENANT] = TEXT("acme"), [LABEL_PERIOD] = TEXT("2026-02-28T23:00:00Z")},
             .severity = SEVERITY_WARNING,
             .at_ms = MARCH_14,
             .step = 75,
             .crossed = {75},
             .crossed_count = 1,
             .has_value = true,
             .value = 37500,
             .threshold = 50000,
             .unit = TEXT("requests"),
             .zone = TEXT("Europe/Berlin"),
             .resets_ms = APRIL_1},
        .fingerprint = TEXT("0123456789abcdef"),
        .episode = 1,
        .seq = 2,
        .since_ms = MARCH_14 - 3 * CLOCK_DAY_MS,
        .features = {.at = {{TEXT("search"), 26000},
                            {TEXT("chat"), 7100},
                            {TEXT("summaries"), 3000}},
                     .count = 3,
                     .total = 37500},
        .projects = {.at = {{TEXT("web"), 33000}, {TEXT(""), 4500}}, .count = 2, .total = 37500},
    };

    return view;
}

static struct alert_view
blocked_view(void)
{
    struct alert_view view = quota_view();
    struct transition *transition = &view.transition;

    transition->rule = TEXT("quota/spend");
    transition->labels[LABEL_PROJECT] = TEXT("web");
    transition->labels[LABEL_TENANT] = TEXT("Müller & Söhne");
    transition->severity = SEVERITY_CRITICAL;
    transition->step = 100;
    transition->crossed_count = 3;
    transition->crossed[0] = 75;
    transition->crossed[1] = 90;
    transition->crossed[2] = 100;
    transition->is_money = true;
    transition->restricts = true;
    transition->value = (tally)2500 * MONEY_NANO_PER_UNIT + 419999999;
    transition->threshold = (tally)2500 * MONEY_NANO_PER_UNIT;
    transition->unit = TEXT("USD");
    view.seq = 3;
    view.since_ms = MARCH_14;
    view.restricted = true;
    view.features = (struct top){
        .at = {{TEXT("agent"), (tally)2400 * MONEY_NANO_PER_UNIT}, {TEXT("search"), 1500000}},
        .count = 2,
        .total = transition->value};
    view.projects = (struct top){.count = 0};
    return view;
}

static struct alert_view
resolved_view(void)
{
    struct alert_view view = blocked_view();
    struct transition *transition = &view.transition;

    view.kind = MESSAGE_RESOLVED;
    transition->move = MOVE_RESOLVE;
    transition->at_ms = MARCH_14 + 83 * CLOCK_MINUTE_MS;
    transition->reason = RESOLVED_LIMIT_RAISED;
    transition->restricts = false;
    transition->crossed_count = 0;
    transition->threshold = (tally)4000 * MONEY_NANO_PER_UNIT;
    view.seq = 4;
    return view;
}

static struct alert_view
missed_view(void)
{
    struct alert_view view = resolved_view();

    view.kind = MESSAGE_MISSED;
    return view;
}

static struct alert_view
pacing_view(void)
{
    struct alert_view view = quota_view();
    struct transition *transition = &view.transition;

    transition->rule = TEXT("pacing/api_calls");
    transition->labels[LABEL_PERIOD] = TEXT("2026-03-13T23:00:00Z");
    transition->step = 0;
    transition->crossed_count = 0;
    transition->value = 2501;
    transition->threshold = 2500;
    transition->resets_ms = MARCH_14 + 14 * CLOCK_HOUR_MS + 48 * CLOCK_MINUTE_MS;
    view.features = (struct top){
        .at = {{TEXT("search"), 1800}, {TEXT("chat"), 701}}, .count = 2, .total = 2501};
    view.projects = (struct top){.count = 0};
    view.since_ms = MARCH_14;
    return view;
}

static struct alert_view
forecast_view(void)
{
    struct alert_view view = pacing_view();
    struct transition *transition = &view.transition;

    transition->rule = TEXT("forecast/spend");
    transition->labels[LABEL_PROJECT] = TEXT("web");
    transition->severity = SEVERITY_INFO;
    transition->is_money = true;
    transition->value = (tally)3141 * MONEY_NANO_PER_UNIT;
    transition->threshold = (tally)2500 * MONEY_NANO_PER_UNIT;
    transition->unit = TEXT("USD");
    transition->resets_ms = APRIL_1;
    view.features = view.projects = (struct top){.count = 0};
    return view;
}

static struct alert_view
dead_view(void)
{
    struct alert_view view = {
        .transition = {.rule = TEXT("delivery/dead"),
                       .labels = {[LABEL_ENDPOINT] = TEXT("billing/email/0")},
                       .severity = SEVERITY_ERROR,
                       .at_ms = MARCH_14,
                       .summary = TEXT("A message to billing/email/0 was given up: mail server "
                                       "mx.example.com refused: 550 no such user")},
        .fingerprint = TEXT("fedcba9876543210"),
        .episode = 1,
        .seq = 1,
        .since_ms = MARCH_14,
    };

    return view;
}

static struct alert_view
final_view(void)
{
    struct alert_view view = {
        .transition =
            {.rule = TEXT("period/final"),
             .labels =
                 {[LABEL_TENANT] = TEXT("acme"), [LABEL_PERIOD] = TEXT("2026-02-28T23:00:00Z")},
             .severity = SEVERITY_INFO,
             .at_ms = APRIL_1 + 3 * CLOCK_DAY_MS,
             .has_value = true,
             .is_money = true,
             .value = (tally)31 * MONEY_NANO_PER_UNIT + 641234567,
             .threshold = (tally)31 * MONEY_NANO_PER_UNIT + 641234567,
             .unit = TEXT("EUR"),
             .zone = TEXT("Europe/Berlin"),
             .resets_ms = APRIL_1,
             .summary = TEXT("its billing period from 2026-03-01 is final: 31.641234567 "
                             "EUR may be invoiced")},
        .fingerprint = TEXT("00112233445566ff"),
        .episode = 1,
        .seq = 1,
        .since_ms = APRIL_1 + 3 * CLOCK_DAY_MS,
    };

    return view;
}

static struct alert_view
burst_view(void)
{
    struct alert_view view = {
        .transition = {.rule = TEXT("burst/ip"),
                       .labels = {[LABEL_TENANT] = TEXT("acme"), [LABEL_IP] = TEXT("203.0.113.5")},
                       .severity = SEVERITY_INFO,
                       .at_ms = MARCH_14,
                       .has_value = true,
                       .value = 61,
                       .threshold = 60,
                       .unit = TEXT("requests"),
                       .zone = TEXT("Europe/Berlin"),
                       .resets_ms = MARCH_14 + CLOCK_MINUTE_MS,
                       .restricts = true,
                       .summary = TEXT(
                           "too many requests from this address in a minute: gateways answer it "
                           "alone 429 ip_rate_limited")},
        .fingerprint = TEXT("0011223344556677"),
        .episode = 1,
        .seq = 1,
        .since_ms = MARCH_14,
        .restricted = true,
    };

    return view;
}

static struct alert_view
amount_view(void)
{
    struct alert_view view = blocked_view();
    struct transition *transition = &view.transition;

    transition->severity = SEVERITY_WARNING;
    transition->step = 0;
    transition->step_amount = (tally)2000 * MONEY_NANO_PER_UNIT;
    transition->crossed[0] = 50;
    transition->crossed[1] = 75;
    transition->crossed_count = 2;
    transition->crossed_amounts[0] = (tally)1200 * MONEY_NANO_PER_UNIT + 500000000;
    transition->crossed_amounts[1] = transition->step_amount;
    transition->crossed_amount_count = 2;
    transition->value = (tally)2001 * MONEY_NANO_PER_UNIT;
    transition->restricts = view.restricted = false;
    return view;
}

/* Of a quota without a limit. */
static struct alert_view
unlimited_view(void)
{
    struct alert_view view = quota_view();
    struct transition *transition = &view.transition;

    transition->step = 0;
    transition->step_amount = transition->threshold = 37000;
    transition->crossed_count = 0;
    transition->crossed_amounts[0] = transition->step_amount;
    transition->crossed_amount_count = 1;
    return view;
}

static struct alert_view
keys_view(void)
{
    struct alert_view view = {
        .transition = {.rule = TEXT("anomaly/keys"),
                       .labels = {[LABEL_TENANT] = TEXT("acme")},
                       .severity = SEVERITY_WARNING,
                       .at_ms = MARCH_14,
                       .has_value = true,
                       .is_money = true,
                       .value = 31 * (tally)MONEY_NANO_PER_UNIT,
                       .threshold = 10 * (tally)MONEY_NANO_PER_UNIT,
                       .unit = TEXT("EUR"),
                       .zone = TEXT("Europe/Berlin"),
                       .summary = TEXT("key k_17 spent 31.00 EUR in 24 hours, 6.2x the median of 12"
                                       " keys (5.00 EUR): more than twice of it")},
        .fingerprint = TEXT("0011223344556688"),
        .episode = 1,
        .seq = 1,
        .since_ms = MARCH_14,
    };

    return view;
}

struct view_row {
    const char *name;
    struct alert_view (*view)(void);
};

static const struct view_row rows[] = {
    {"warning", quota_view},     {"blocked", blocked_view},     {"resolved", resolved_view},
    {"missed", missed_view},     {"dead", dead_view},           {"pacing", pacing_view},
    {"forecast", forecast_view}, {"final", final_view},         {"burst", burst_view},
    {"amount", amount_view},     {"unlimited", unlimited_view}, {"keys", keys_view},
};

static void
test_golden(void)
{
    struct zone *berlin = zone_file_load("Europe/Berlin");
    struct arena *arena = arena_new(1 << 20);
    struct err why;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct alert_view view = rows[i].view();
        struct message mail;
        struct message webhook;
        char text[8192];

        view.receiver = "billing";
        view.group_key = "{rule=\"x\"}";
        view.link = LINK;

        view.zone = view.transition.zone.at == NULL ? zone_utc() : berlin;
        CU_ASSERT_TRUE_FATAL(message_mail(&view, arena, &mail, &why));
        const int size =
            snprintf(text, sizeof text, "Subject: %s\n\n%s", mail.subject.at, mail.body.at);

        check_golden(rows[i].name, "txt", (struct text){text, (size_t)size});
        check_golden(rows[i].name, "html", mail.html);
        CU_ASSERT_TRUE_FATAL(message_webhook(&view, arena, &webhook, &why));
        check_golden(rows[i].name, "json", webhook.body);
    }
    arena_free(arena);
    zone_free(berlin);
}

struct amount_row {
    tally amount;
    bool is_money;
    const char *text;
};

static void
test_amounts(void)
{
    static const struct amount_row amounts[] = {
        {0, false, "0"},
        {999, false, "999"},
        {1000, false, "1,000"},
        {123456, false, "123,456"},
        {-1234567, false, "-1,234,567"},
        {0, true, "0.00"},
        {1, true, "0.000000001"},
        {9999999, true, "0.009999999"},
        {10000000, true, "0.01"},
        {999999999, true, "0.99"},
        {INT64_C(1234567899999999), true, "1,234,567.89"},
        {-INT64_C(1234500000000), true, "-1,234.50"},
    };
    char text[AMOUNT_SIZE];

    for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++)
        CU_ASSERT_STRING_EQUAL(words_amount(amounts[i].amount, amounts[i].is_money, text),
                               amounts[i].text);
}

/* Commands that are copied from a mail into a shell keep a name one argument. */
static void
test_quoting(void)
{
    struct alert_view view = quota_view();
    struct arena *arena = arena_new(1 << 20);
    struct message mail;
    struct err why;

    view.zone = zone_utc();
    view.transition.labels[LABEL_TENANT] = TEXT("a'b; $(reboot)");
    CU_ASSERT_TRUE_FATAL(message_mail(&view, arena, &mail, &why));
    CU_ASSERT_PTR_NOT_NULL(strstr(mail.body.at, "tripmeter status 'a'\\''b; $(reboot)'\n"));
    view.transition.restricts = true;
    CU_ASSERT_TRUE_FATAL(message_mail(&view, arena, &mail, &why));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(mail.body.at, "tripmeter allow tenant/a%27b%3B%20%24%28reboot%29 --for"));
    view.transition.labels[LABEL_TENANT] = TEXT("<script>");
    CU_ASSERT_TRUE_FATAL(message_mail(&view, arena, &mail, &why));
    CU_ASSERT_PTR_NULL(strstr(mail.html.at, "<script>"));
    arena_free(arena);
}

/* What was used before the turn of the period is not what is used now. */
static void
test_rollover(void)
{
    struct alert_view view = resolved_view();
    struct arena *arena = arena_new(1 << 20);
    struct message mail;
    struct err why;

    view.zone = zone_utc();
    CU_ASSERT_TRUE_FATAL(message_mail(&view, arena, &mail, &why));
    CU_ASSERT_PTR_NOT_NULL(strstr(mail.body.at, "  Used now    2,500.41"));
    view.transition.reason = RESOLVED_PERIOD_ROLLOVER;
    CU_ASSERT_TRUE_FATAL(message_mail(&view, arena, &mail, &why));
    CU_ASSERT_PTR_NULL(strstr(mail.body.at, "Used now"));
    CU_ASSERT_PTR_NOT_NULL(strstr(mail.body.at, "  Last period 2,500.41"));
    arena_free(arena);
}

static CU_TestInfo tests[] = {{"golden", test_golden},
                              {"rollover", test_rollover},
                              {"amounts", test_amounts},
                              {"quoting", test_quoting},
                              CU_TEST_INFO_NULL};

const CU_SuiteInfo suite_message = {.pName = "message", .pTests = tests};
