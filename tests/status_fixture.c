#include "tests/status_fixture.h"

#include "core/clock.h"
#include "tests/check.h"

#define AGO(minutes)  (FIXTURE_NOW_MS - (minutes)*CLOCK_MINUTE_MS)
#define MONTH_ENDS_MS INT64_C(1775001600000) /* 2026-04-01 */

static struct metric_set workers[2];
static const struct metric_set *const sets[] = {&workers[0], &workers[1]};

/* ---- calm -------------------------------------------------------------------------------------- */

static void
calm_partitions(void *context, status_on_partition *on_partition, void *to)
{
    (void)context;
    for (int32_t i = 0; i < 4; i++) {
        const struct status_partition partition = {
            .topic = TEXT_ROW("usage"),
            .partition = i,
            .position = 1284113 + i,
            .end = 1284113 + i,
            .as_of_ms = FIXTURE_NOW_MS - i,
        };

        on_partition(to, &partition);
    }
}

static bool
calm_enforcing(void *context)
{
    (void)context;
    return true;
}

const struct status_source fixture_calm = {
    .sets = sets,
    .set_count = 2,
    .partitions = calm_partitions,
    .enforcing = calm_enforcing,
};

json_t *
fixture_database_calm(void)
{
    return json_pack("{s:b, s:n, s:i, s:[], s:[]}", "reachable", 1, "enforcement", "alert_count", 0,
                     "alerts", "deliveries");
}

/* ---- trouble ----------------------------------------------------------------------------------- */

static void
trouble_reasons(void *context, status_on_reason *on_reason, void *to)
{
    (void)context;
    on_reason(to, "claim of shard 3 waits for Postgres: connection to server at \"10.0.0.5\", port "
                  "5432 failed: Connection refused");
    on_reason(to, "the control topic has not been read to its end: 1,204 records to go");
}

static void
trouble_partitions(void *context, status_on_partition *on_partition, void *to)
{
    static const struct status_partition all[] = {
        {TEXT_ROW("usage"), 0, 1284113, 1301999, 17886, 134000, AGO(2), {NULL, 0}},
        {TEXT_ROW("usage"), 1, 880021, 880017, 0, 0, AGO(0), {NULL, 0}},
        {TEXT_ROW("usage"), 2, 770100, 791000, 20900, 600000, AGO(10),
         TEXT_ROW("the log is not the one that was settled: offset 770,099 has another content "
                  "(topic re-created?). Look at it with `tripmeter decode`, then go on with "
                  "`tripmeter partition resume usage 2 --reason TEXT`")},
        {TEXT_ROW("usage\n\"<b>"), 3, -1, -1, -1, -1, 0, {NULL, 0}},
    };

    (void)context;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        on_partition(to, &all[i]);
}

static void
trouble_restrictions(void *context, control_on_state *on_state, void *to)
{
    static const struct {
        struct text scope;
        struct text tenant;
        struct restriction first;
    } all[] = {
        {TEXT_ROW("key/acme/k-batch-7"),
         TEXT_ROW("acme"),
         {.code = CODE_key_rate_limited,
          .rule = TEXT_ROW("burst/key"),
          .since_ms = AGO(1),
          .ends_ms = FIXTURE_NOW_MS + 5000,
          .has_usage = true,
          .used = 61,
          .limit = 60}},
        {TEXT_ROW("project/globex/web"),
         TEXT_ROW("globex"),
         {.code = CODE_project_budget_exhausted,
          .rule = TEXT_ROW("quota/spend"),
          .since_ms = AGO(3000),
          .ends_ms = MONTH_ENDS_MS,
          .resets_ms = MONTH_ENDS_MS,
          .has_usage = true,
          .is_money = true,
          .used = 500000000017,
          .limit = 500000000000,
          .currency = TEXT_ROW("USD")}},
        {TEXT_ROW("tenant/%3Cscript%3Ealert%28%27x%27%29%3C%2Fscript%3E"),
         TEXT_ROW(HOSTILE_TENANT),
         {.code = CODE_tenant_disabled,
          .rule = TEXT_ROW("operator"),
          .since_ms = AGO(30),
          .ends_ms = INT64_MAX,
          .reason = TEXT_ROW("card stolen, see <ticket 4711>"),
          .actor = TEXT_ROW("mia")}},
        {TEXT_ROW("tenant/initech"),
         TEXT_ROW("initech"),
         {.code = CODE_plan_allowance_exhausted,
          .rule = TEXT_ROW("quota/api_calls"),
          .since_ms = AGO(185),
          .ends_ms = MONTH_ENDS_MS,
          .resets_ms = MONTH_ENDS_MS,
          .has_usage = true,
          .used = 50012,
          .limit = 50000,
          .currency = TEXT_ROW("USD")}},
    };

    (void)context;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct scope_state state = {.scope = all[i].scope, .tenant = all[i].tenant};
        struct restriction second = {.code = CODE_plan_allowance_exhausted,
                                     .rank = 3,
                                     .rule = TEXT_ROW("quota/spend"),
                                     .since_ms = AGO(9),
                                     .ends_ms = MONTH_ENDS_MS};
        struct restriction first = all[i].first;

        first.rank = code_table[first.code].rank;
        scope_restrict(&state, &first);
        if (i == 3)
            scope_restrict(&state, &second);
        on_state(to, &state, INT64_C(17) << 24, first.ends_ms);
    }
}

static bool
trouble_enforcing(void *context)
{
    (void)context;
    return false;
}

const struct status_source fixture_trouble = {
    .sets = sets,
    .set_count = 2,
    .reasons = trouble_reasons,
    .partitions = trouble_partitions,
    .enforcing = trouble_enforcing,
    .restrictions = trouble_restrictions,
};

json_t *
fixture_database_trouble(void)
{
    return json_loads(
        "{\"reachable\": true,"
        " \"enforcement\": {\"on\": false, \"actor\": \"mia\", \"at\": "
        "\"2026-03-17T13:58:00+00:00\","
        "   \"reason\": \"price list is wrong, do not cut <anybody>\"},"
        " \"alert_count\": 214,"
        " \"alerts\": ["
        "  {\"rule\": \"quota/api_calls\", \"labels\": {\"tenant\": \"initech\","
        "    \"period\": \"2026-03-01T00:00:00Z\"}, \"severity\": \"critical\", \"step\": 100,"
        "    \"restricts\": true, \"opened_at\": \"2026-03-09T08:00:00.123456+00:00\","
        "    \"summary\": null, \"value\": \"50012\", \"threshold\": \"50000\","
        "    \"unit\": \"requests\", \"resets_at\": \"2026-04-01T00:00:00+00:00\"},"
        "  {\"rule\": \"ingest/dead_share\", \"labels\": {\"topic\": \"usage\","
        "    \"partition\": \"2\"}, \"severity\": \"error\", \"step\": 0, \"restricts\": false,"
        "    \"opened_at\": \"2026-03-17T14:01:00+00:00\", \"value\": null, \"threshold\": null,"
        "    \"summary\": \"1.4 % of 12,204 events of usage/2 were refused in 5 minutes: "
        "count_range\", \"unit\": null, \"resets_at\": null},"
        "  {\"rule\": \"quota/spend\", \"labels\": {\"tenant\": \"<i>globex</i>\","
        "    \"project\": \"web\"}, \"severity\": \"warning\", \"step\": 75,"
        "    \"restricts\": false, \"opened_at\": \"2026-03-17T11:40:00+00:00\","
        "    \"summary\": null, \"value\": \"1875.250000001\", \"threshold\": \"2500.00\","
        "    \"unit\": \"USD\", \"resets_at\": \"2026-04-01T00:00:00+00:00\"},"
        "  {\"rule\": \"quota/ai_tokens\", \"labels\": {\"tenant\": \"umbrella\"},"
        "    \"severity\": \"info\", \"step\": 50, \"restricts\": false,"
        "    \"opened_at\": \"2026-03-17T14:05:00+00:00\", \"summary\": null,"
        "    \"value\": \"5000000\", \"threshold\": \"10000000\", \"unit\": \"tokens\","
        "    \"resets_at\": \"2026-04-01T00:00:00+00:00\"},"
        "  {\"rule\": \"quota/total\", \"labels\": {\"tenant\": \"hooli\"},"
        "    \"severity\": \"warning\", \"step\": 0, \"step_amount\": \"1200.000000000\","
        "    \"restricts\": false, \"opened_at\": \"2026-03-17T14:06:00+00:00\","
        "    \"summary\": null, \"value\": \"1234.500000000\","
        "    \"threshold\": \"1200.000000000\", \"unit\": \"USD\","
        "    \"resets_at\": \"2026-04-01T00:00:00+00:00\"}],"
        " \"anomalies\": ["
        "  {\"tenant\": \"initech\", \"feature\": \"<u>search\", \"metric\": \"cost\","
        "    \"tier\": \"page\", \"since_at\": \"2026-03-17T13:00:00+00:00\","
        "    \"over_at\": null, \"words\": \"highest 5 min in 48 days, 3.4x the old record\","
        "    \"value\": 6.8, \"usual\": 0.5, \"excess\": \"31.25\", \"percent\": \"42\","
        "    \"answer\": null, \"high\": 2.0, \"threshold\": 2.5, \"hours\": [null, null, 0.5, "
        "0.5, 0.5, 0.5, 0.5,"
        "    0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 2]},"
        "  {\"tenant\": \"umbrella\", \"feature\": \"\", \"metric\": \"requests\","
        "    \"tier\": \"note\", \"since_at\": \"2026-03-16T13:00:00+00:00\","
        "    \"over_at\": \"2026-03-16T15:00:00+00:00\", \"words\": null, \"value\": 0,"
        "    \"usual\": 5, \"excess\": \"-1.00\", \"percent\": null, \"high\": null,"
        "    \"hours\": null}],"
        " \"series\": ["
        "  {\"tenant\": \"hooli\", \"feature\": \"<i>chat\", \"metric\": \"cost\","
        "    \"spent\": \"1234.50\", \"windows\": 13824, \"seconds\": 300, \"low\": 0,"
        "    \"high\": 9.25, \"usual\": 3.5, \"threshold\": 11.75, \"hours\": [1, 1, 1, 1, 1, 2, 3,"
        "    4, 5, 5, 5, 5, 4, 4, 5, 6, 6, 5, 4, 3, 2, 1, 1, 1]},"
        "  {\"tenant\": \"initech\", \"feature\": \"\", \"metric\": \"cost\","
        "    \"spent\": \"12.00\", \"windows\": 40, \"seconds\": 3600, \"low\": 0.25,"
        "    \"high\": 4, \"usual\": 1.5, \"threshold\": 5, \"hours\": null}],"
        " \"deliveries\": ["
        "  {\"endpoint\": \"billing/email/0\", \"failures\": 12, \"disabled_at\": null,"
        "    \"failing_since\": \"2026-03-17T12:00:00+00:00\", \"waiting\": 37,"
        "    \"last_error\": \"451 4.7.1 Greylisted, please try again later\","
        "    \"oldest\": \"2026-03-17T12:00:00+00:00\", \"dead\": 0},"
        "  {\"endpoint\": \"engineering/webhook/0\", \"failures\": 0, \"waiting\": 0,"
        "    \"failing_since\": null, \"disabled_at\": \"2026-03-15T09:00:00+00:00\","
        "    \"last_error\": \"410 Gone\", \"oldest\": null, \"dead\": 3}]}",
        0, NULL);
}
