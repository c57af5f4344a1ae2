#include "cli/history.h"

#include "cli/columns.h"
#include "config/zones.h"
#include "core/baseline.h"
#include "core/event.h"
#include "rules/quota.h"

#include <inttypes.h>

#define FETCH "FETCH 20000 FROM settled_hours"

enum column {
    COLUMN_TENANT,
    COLUMN_FEATURE,
    COLUMN_ZONE,
    COLUMN_CURRENCY,
    COLUMN_HOUR,
    COLUMN_COST,
    COLUMN_CALLS
};

/* In order of feature and hour; the running hour is not whole. */
static const char sql_hours[] =
    "DECLARE settled_hours CURSOR FOR"
    " SELECT f.tenant, f.feature, (SELECT v.zone FROM tripmeter.tenant_version v"
    "  WHERE v.tenant = f.tenant ORDER BY v.version DESC LIMIT 1) AS zone,"
    " (SELECT v.currency FROM tripmeter.tenant_version v"
    "  WHERE v.tenant = f.tenant ORDER BY v.version DESC LIMIT 1) AS currency,"
    " (extract(epoch FROM f.hour) * 1000)::bigint, sum(f.cost - f.refunded), sum(f.attempts)"
    " FROM tripmeter.tenant_fact f WHERE f.feature <> ''"
    " AND f.hour >= to_timestamp($1::bigint / 1000) AND f.hour < to_timestamp($2::bigint / 1000)"
    " GROUP BY f.tenant, f.feature, f.hour ORDER BY 1, 2, f.hour";

/* One feature on its way through its hours. */
struct replay {
    char tenant[EVENT_ID_LIMIT + 1];
    char feature[EVENT_ID_LIMIT + 1];
    char currency[8]; /* its own, ISO 4217 */
    const struct zone *zone;
    const struct breaker_rule *rule;
    struct history history;
    int64_t hour_ms; /* being gathered; INT64_MIN: none */
    tally cost;
    int64_t calls;
    int64_t over_ms;  /* the last hour that was over */
    int64_t hours;    /* judged, in the span asked for */
    int64_t unjudged; /* of them: without a baseline */
    int64_t trips;
    int64_t over;
    tally past; /* spent above the limit */
};

struct check {
    const struct policy *policy;
    int64_t from_ms; /* hours before are learned only */
    struct columns *columns;
    int64_t features;
    int64_t tripping;
    int64_t learning; /* without a baseline in more than half of their hours */
    tally past;
};

/* An amount of the policy in the tenant's currency, at the rate of the hour. */
static tally
amount_of(const struct replay *replay, const struct policy *policy, tally nano)
{
    return prices_convert(&policy->prices, nano, policy->currency, text_of(replay->currency),
                          replay->hour_ms);
}

static tally
limit_of(const struct replay *replay, const struct policy *policy, const struct baseline *baseline)
{
    const tally three = baseline->known ? baseline->value * BASELINE_RATIO : TALLY_MAX;
    const tally absolute = replay->rule->absolute == TALLY_MAX
                               ? TALLY_MAX
                               : amount_of(replay, policy, replay->rule->absolute);

    return three < absolute ? three : absolute;
}

static void
judge_hour(struct replay *replay, const struct check *check)
{
    const struct breaker_rule *own = replay->rule;
    struct baseline baseline;
    bool failed;

    if (own == NULL || replay->hour_ms == INT64_MIN)
        return;
    const struct baseline_rule rule = {.floor = amount_of(replay, check->policy, own->floor),
                                       .configured = own->configured,
                                       .budget = amount_of(replay, check->policy, own->budget)};

    baseline_of(&replay->history, replay->zone, replay->hour_ms, &rule, &baseline);
    const tally limit = limit_of(replay, check->policy, &baseline);
    const bool over =
        !replay->rule->off && replay->calls >= replay->rule->least_calls && replay->cost > limit;
    struct hour_sample *sample = history_at(&replay->history, replay->hour_ms, &failed);

    if (sample != NULL) {
        sample->cost = replay->cost;
        sample->flags = over ? HOUR_TRIPPED : 0;
        sample->baseline = baseline.value;
    }
    if (replay->hour_ms >= check->from_ms && replay->cost > 0) {
        replay->hours++;
        replay->unjudged += !baseline.known;
        replay->over += over;
        /* Hours in a row are one story. */
        replay->trips += over && replay->over_ms != replay->hour_ms - CLOCK_HOUR_MS;
        replay->past += over ? replay->cost - limit : 0;
    }
    if (over)
        replay->over_ms = replay->hour_ms;
}

static void
add_number(struct columns *columns, int64_t number)
{
    char text[TALLY_TEXT_SIZE];

    columns_add(columns, tally_format_count(number, text));
}

static void
end_feature(struct replay *replay, struct check *check)
{
    char amount[TALLY_TEXT_SIZE];

    judge_hour(replay, check);
    history_free(&replay->history);
    if (replay->hours == 0)
        return;
    check->features++;
    check->learning += replay->unjudged * 2 > replay->hours;
    check->past += prices_convert(&check->policy->prices, replay->past, text_of(replay->currency),
                                  check->policy->currency, replay->hour_ms);
    if (replay->trips == 0)
        return;
    check->tripping++;
    columns_add(check->columns, replay->tenant);
    columns_add(check->columns, replay->feature);
    columns_add(check->columns, replay->rule->configured ? "budget" : "learned");
    columns_add(check->columns, replay->rule->enforce ? "enforce" : "shadow");
    add_number(check->columns, replay->hours);
    add_number(check->columns, replay->unjudged);
    add_number(check->columns, replay->trips);
    add_number(check->columns, replay->over);
    columns_add(check->columns, tally_format_short(replay->past, 2, amount));
    columns_add(check->columns, replay->currency);
}

static bool
begin_feature(struct replay *replay, const struct check *check, const PGresult *rows, int row,
              struct err *why)
{
    const char *zone = db_text(rows, row, COLUMN_ZONE);
    const char *currency = db_text(rows, row, COLUMN_CURRENCY);

    *replay = (struct replay){.hour_ms = INT64_MIN, .over_ms = INT64_MIN};
    (void)text_copy(replay->tenant, sizeof replay->tenant,
                    text_of(db_text(rows, row, COLUMN_TENANT)));
    (void)text_copy(replay->feature, sizeof replay->feature,
                    text_of(db_text(rows, row, COLUMN_FEATURE)));
    (void)text_copy(replay->currency, sizeof replay->currency,
                    currency == NULL ? check->policy->currency : text_of(currency));
    replay->rule = policy_breaker(check->policy, text_of(replay->feature));
    replay->zone = zones_get(zone == NULL ? check->policy->zone : text_of(zone), why);
    return replay->zone != NULL;
}

static bool
take_row(struct replay *replay, struct check *check, const PGresult *rows, int row, struct err *why)
{
    const bool same = strcmp(replay->tenant, db_text(rows, row, COLUMN_TENANT)) == 0 &&
                      strcmp(replay->feature, db_text(rows, row, COLUMN_FEATURE)) == 0;
    tally cost;

    if (!same) {
        end_feature(replay, check);
        if (!begin_feature(replay, check, rows, row, why))
            return false;
    }
    const int64_t hour_ms = baseline_hour(replay->zone, db_int(rows, row, COLUMN_HOUR)).start_ms;

    if (hour_ms != replay->hour_ms) {
        judge_hour(replay, check);
        replay->hour_ms = hour_ms;
        replay->cost = replay->calls = 0;
    }
    if (!tally_parse_money(text_of(db_text(rows, row, COLUMN_COST)), &cost))
        return err_set(why, ERR_FATAL, "the cost of an hour of %s cannot be read", replay->tenant);
    replay->cost += cost;
    replay->calls += db_int(rows, row, COLUMN_CALLS);
    return true;
}

static bool
replay_all(struct session *session, struct check *check, struct err *why)
{
    struct replay replay = {.hour_ms = INT64_MIN};
    bool good = true;
    int count = 1;

    while (good && count > 0) {
        PGresult *rows = db_query(&session->db, FETCH, NULL, 0, why);

        good = rows != NULL;
        count = good ? PQntuples(rows) : 0;
        for (int row = 0; good && row < count; row++)
            good = take_row(&replay, check, rows, row, why);
        PQclear(rows);
    }
    end_feature(&replay, check);
    return good;
}

static void
print_check(const struct check *check, int64_t span_ms)
{
    char span[CLOCK_TEXT_SIZE];
    char amount[TALLY_TEXT_SIZE];

    printf("\nbreakers over the settled hours of the last %s:\n",
           clock_format_duration(span_ms, span));
    if (columns_rows(check->columns) > 0)
        columns_print(check->columns, stdout);
    printf("%" PRId64 " features, %" PRId64 " of them would have tripped and been kept from "
           "spending %s %.*s\nabove their limits; %" PRId64
           " had no baseline in more than half of their "
           "hours\n",
           check->features, check->tripping, tally_format_short(check->past, 2, amount),
           (int)check->policy->currency.size, check->policy->currency.at, check->learning);
    puts("By whole hours; the engine also looks at the last 60 minutes, and trips within an hour.");
}

/* The hour that is running when the last event was settled is not whole. */
static bool
settled_until(struct session *session, int64_t *until_ms, struct err *why)
{
    PGresult *rows = db_query(&session->db,
                              "SELECT (extract(epoch FROM max(shard_time)) * 1000)::bigint"
                              " FROM tripmeter.shard",
                              NULL, 0, why);

    if (rows == NULL)
        return false;
    *until_ms = db_text(rows, 0, 0) == NULL ? 0 : db_int(rows, 0, 0);
    *until_ms -= *until_ms % CLOCK_HOUR_MS;
    PQclear(rows);
    return true;
}

bool
history_check(struct session *session, int64_t span_ms, struct err *why)
{
    static const char *const titles[] = {"TENANT",       "FEATURE",  "BASELINE", "MODE",
                                         ">HOURS",       ">WITHOUT", ">TRIPS",   ">HOURS OVER",
                                         ">ABOVE LIMIT", "IN",       NULL};
    struct check check = {.policy = session->policy};
    char from[32];
    char until[32];
    int64_t until_ms = 0;

    if (!session->policy->has_breakers)
        return err_set(why, ERR_INPUT, "the policy has no section breakers: nothing would trip");
    if (!settled_until(session, &until_ms, why))
        return false;
    check.from_ms = until_ms - span_ms;
    check.columns = columns_new(titles);
    (void)snprintf(from, sizeof from, "%" PRId64,
                   check.from_ms - (BASELINE_DAYS + 1) * CLOCK_DAY_MS);
    (void)snprintf(until, sizeof until, "%" PRId64, until_ms);
    const char *const values[] = {from, until};
    bool good = check.columns != NULL || err_set(why, ERR_FATAL, "out of memory");

    good = good && db_execute(&session->db, "BEGIN READ ONLY", why);
    PGresult *declared = good ? db_query(&session->db, sql_hours, values, 2, why) : NULL;

    PQclear(declared);
    good = declared != NULL && replay_all(session, &check, why);
    if (good)
        print_check(&check, span_ms);
    columns_free(check.columns);
    return good;
}
