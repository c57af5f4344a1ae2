#include "cli/replay_past.h"

#include <inttypes.h>

struct comparison {
    const struct replay *replay;
    int64_t from_ms;
    int64_t to_ms;
    int same;
    int partly; /* not wholly in the range */
    int differ;
};

static const char sql_totals[] =
    "SELECT p.tenant, floor(extract(epoch FROM p.period) * 1000)::bigint,"
    " floor(extract(epoch FROM p.period_end) * 1000)::bigint, p.events, p.requests,"
    " p.input_tokens, p.output_tokens, p.cost, p.charge, p.period"
    " FROM tripmeter.period_total p, tripmeter.period_closing c"
    " WHERE p.project = '' AND p.period_end <= c.closed_to ORDER BY 1, 2";

static const char sql_carries[] =
    "SELECT tenant, floor(extract(epoch FROM period) * 1000)::bigint,"
    " floor(extract(epoch FROM period_end) * 1000)::bigint, quota, project, carry, used, carried,"
    " period FROM tripmeter.quota_period WHERE is_final ORDER BY 1, 4, 5, 2";

static bool
is_amount(const PGresult *rows, int row, int column, tally nano)
{
    tally settled = 0;

    return tally_parse_money(text_of(db_text(rows, row, column)), &settled) && settled == nano;
}

static bool
same_total(const struct replay *replay, const PGresult *rows, int row)
{
    const struct text tenant = text_of(db_text(rows, row, 0));
    size_t count;
    const struct period_total *totals = replay_totals(replay, &count);

    for (size_t i = 0; i < count; i++) {
        const struct period_total *total = &totals[i];

        if (total->project.size == 0 && total->start_ms == db_int(rows, row, 1) &&
            text_eq(total->tenant, tenant))
            return total->delta.count[COUNT_events] == db_int(rows, row, 3) &&
                   total->delta.count[COUNT_requests] == db_int(rows, row, 4) &&
                   total->delta.count[COUNT_input_tokens] == db_int(rows, row, 5) &&
                   total->delta.count[COUNT_output_tokens] == db_int(rows, row, 6) &&
                   is_amount(rows, row, 7, total->delta.cost) &&
                   is_amount(rows, row, 8, total->delta.charge);
    }
    return db_int(rows, row, 3) == 0;
}

static bool
same_carry(const struct replay *replay, const PGresult *rows, int row)
{
    const int64_t start_ms = db_int(rows, row, 1);
    const struct carry_memory *carry =
        replay_carry(replay, text_of(db_text(rows, row, 0)), text_of(db_text(rows, row, 3)),
                     text_of(db_text(rows, row, 4)), start_ms);
    /* Amounts are stored in units, whatever the meter. */
    const tally scale = carry == NULL || meter_is_money(carry->meter) ? 1 : MONEY_NANO_PER_UNIT;

    /* Nobody looked at a tenant that is unknown and silent. */
    if (carry == NULL)
        return is_amount(rows, row, 6, 0);
    return carry->start_ms == start_ms && carry->closed &&
           is_amount(rows, row, 5, carry->carry * scale) &&
           is_amount(rows, row, 6, carry->used * scale) &&
           is_amount(rows, row, 7, carry->end.carried * scale);
}

/* True: it differs, and should not. */
static bool
count(struct comparison *comparison, const PGresult *rows, int row, bool same)
{
    const bool partly =
        db_int(rows, row, 1) < comparison->from_ms || db_int(rows, row, 2) > comparison->to_ms;

    comparison->same += same;
    comparison->partly += !same && partly;
    comparison->differ += !same && !partly;
    return !same && !partly;
}

static bool
compare_totals(struct comparison *comparison, struct session *session, struct err *why)
{
    PGresult *rows = db_query(&session->db, sql_totals, NULL, 0, why);

    if (rows == NULL)
        return false;
    for (int i = 0; i < PQntuples(rows); i++)
        if (count(comparison, rows, i, same_total(comparison->replay, rows, i)))
            printf("differs    %s, %s\n", db_text(rows, i, 0), db_text(rows, i, 9));
    PQclear(rows);
    printf("final periods: %d as settled, to the nano; %d differ; %d not wholly in the range\n",
           comparison->same, comparison->differ, comparison->partly);
    return comparison->differ == 0;
}

static bool
compare_carries(struct comparison *comparison, struct session *session, struct err *why)
{
    PGresult *rows = db_query(&session->db, sql_carries, NULL, 0, why);

    if (rows == NULL)
        return false;
    for (int i = 0; i < PQntuples(rows); i++)
        if (count(comparison, rows, i, same_carry(comparison->replay, rows, i)))
            printf("differs    %s, %s: what %s carried on\n", db_text(rows, i, 0),
                   db_text(rows, i, 8), db_text(rows, i, 3));
    if (PQntuples(rows) > 0)
        printf("carried on: %d as settled; %d differ; %d not wholly in the range\n",
               comparison->same, comparison->differ, comparison->partly);
    PQclear(rows);
    return comparison->differ == 0;
}

bool
past_compare(const struct replay *replay, struct session *session, int64_t from_ms, int64_t to_ms,
             struct err *why)
{
    const int64_t grace_ms = session->policy->grace_ms;
    struct comparison totals = {.replay = replay,
                                .from_ms = from_ms,
                                /* What came within the grace is in a total as well. */
                                .to_ms = to_ms == INT64_MAX ? INT64_MAX : to_ms - grace_ms};
    struct comparison carries = totals;
    const bool good = compare_totals(&totals, session, why);

    return compare_carries(&carries, session, why) && good;
}
