#include "cli/replay_past.h"

#include <inttypes.h>
#include <stdlib.h>

#define POLICY_LIMIT 4096 /* as many as a process of the engine goes over to */

/* A partition goes over to a policy: records after that moment were booked under it. */
struct past_step {
    int32_t partition;
    size_t policy;
    int64_t at_ms;
};

/* ---- policies ------------------------------------------------------------------------------------ */

static bool
read_policy(struct past *past, const PGresult *rows, int row, struct err *why)
{
    struct findings findings = {.force = true};
    struct past_policy *one = &past->policies[past->policy_count];

    one->serial = db_int(rows, row, 0);
    one->at_ms = INT64_MAX;
    one->policy = policy_load("stored policy", PQgetvalue(rows, row, 1),
                              (size_t)PQgetlength(rows, row, 1), &findings);
    if (one->policy == NULL)
        (void)err_set(why, ERR_INPUT, "policy %" PRId64 " as stored cannot be read: %s",
                      one->serial, findings.count == 0 ? "" : findings.at[0].text);
    else
        one->policy->serial = one->serial;
    findings_free(&findings);
    past->policy_count += one->policy != NULL;
    return one->policy != NULL;
}

static bool
read_policies(struct past *past, struct session *session, struct err *why)
{
    PGresult *rows = db_query(
        &session->db, "SELECT serial, body FROM tripmeter.policy ORDER BY serial", NULL, 0, why);
    const int count = rows == NULL ? 0 : PQntuples(rows);
    bool good = rows != NULL;

    if (good && count == 0)
        good = err_set(why, ERR_INPUT, "no engine has run yet: there is nothing to replay");
    if (good && count > POLICY_LIMIT)
        good = err_set(why, ERR_INPUT,
                       "more than 4096 policies were in force: say which one, with --policy");
    past->policies = calloc((size_t)count + 1, sizeof *past->policies);
    if (past->policies == NULL)
        good = false;
    for (int row = 0; good && row < count; row++)
        good = read_policy(past, rows, row, why);
    PQclear(rows);
    return good || why->class != ERR_NONE || err_set(why, ERR_FATAL, "out of memory");
}

/* ---- who went over when ------------------------------------------------------------------------- */

static const char sql_steps[] =
    "SELECT c.shard, (c.body ->> 'serial')::bigint,"
    " coalesce(floor(extract(epoch FROM c.applied_time) * 1000)::bigint, 0)"
    " FROM tripmeter.command c JOIN tripmeter.layout l ON c.shard < l.partitions"
    " WHERE c.kind = 'policy' AND c.applied_at IS NOT NULL AND c.error IS NULL"
    " GROUP BY 1, 2, 3 ORDER BY 1, 2";

static size_t
policy_index(const struct past *past, int64_t serial)
{
    size_t at = 0;

    while (at + 1 < past->policy_count && past->policies[at].serial < serial)
        at++;
    return at;
}

static bool
read_steps(struct past *past, struct session *session, struct err *why)
{
    PGresult *rows = db_query(&session->db, sql_steps, NULL, 0, why);
    const size_t count = rows == NULL ? 0 : (size_t)PQntuples(rows);
    bool good = rows != NULL;

    past->steps = calloc(count + 1, sizeof *past->steps);
    if (past->steps == NULL)
        good = false;
    for (int row = 0; good && row < PQntuples(rows); row++) {
        const size_t policy = policy_index(past, db_int(rows, row, 1));
        const int64_t at_ms = db_int(rows, row, 2);

        past->steps[past->step_count++] = (struct past_step){
            .partition = (int32_t)db_int(rows, row, 0), .policy = policy, .at_ms = at_ms};
        if (at_ms < past->policies[policy].at_ms)
            past->policies[policy].at_ms = at_ms;
    }
    PQclear(rows);
    return good || why->class != ERR_NONE || err_set(why, ERR_FATAL, "out of memory");
}

bool
past_read(struct past *past, struct session *session, struct err *why)
{
    return read_policies(past, session, why) && read_steps(past, session, why);
}

void
past_free(struct past *past)
{
    for (size_t i = 0; i < past->policy_count; i++)
        policy_free(past->policies[i].policy);
    free(past->policies);
    free(past->steps);
}

/* The first step of the partition, or where it would be. */
static size_t
steps_of(const struct past *past, int32_t partition)
{
    size_t low = 0;
    size_t high = past->step_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (past->steps[middle].partition < partition)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t
past_policy_of(const struct past *past, int32_t partition, int64_t time_ms)
{
    size_t at = steps_of(past, partition);

    /* One that began later than all of them went over to none: it has the last one. */
    if (at == past->step_count || past->steps[at].partition != partition)
        return past->policy_count == 0 ? 0 : past->policy_count - 1;
    /* Before the first step that is known. */
    size_t policy = past->steps[at].policy > 0 ? past->steps[at].policy - 1 : 0;

    for (; at < past->step_count && past->steps[at].partition == partition &&
           past->steps[at].at_ms < time_ms;
         at++)
        policy = past->steps[at].policy;
    return policy;
}

/* ---- carries ------------------------------------------------------------------------------------- */

static const char sql_carries[] =
    "SELECT tenant, quota, project, floor(extract(epoch FROM period) * 1000)::bigint,"
    " floor(extract(epoch FROM period_end) * 1000)::bigint, meter, base, carry, total_cap"
    " FROM tripmeter.quota_period WHERE period <= to_timestamp($1::numeric / 1000)"
    " AND period_end > to_timestamp($1::numeric / 1000) ORDER BY 1, 2, 3";

enum { AT_BASE = 6, AT_CARRY, AT_CAP };

/* Amounts are stored in units, whatever the meter. */
static bool
read_amount(const PGresult *rows, int row, int column, enum meter meter, tally *out)
{
    const bool good = tally_parse_money(text_of(db_text(rows, row, column)), out);

    if (!meter_is_money(meter))
        *out /= MONEY_NANO_PER_UNIT;
    return good;
}

static bool
read_carry(const PGresult *rows, int row, struct arena *memory, struct carry_memory *out)
{
    struct text *const texts[] = {&out->tenant, &out->quota, &out->project};

    *out = (struct carry_memory){.start_ms = db_int(rows, row, 3),
                                 .end_ms = db_int(rows, row, 4),
                                 .unlimited = db_text(rows, row, AT_BASE) == NULL,
                                 .total_cap = ROLLOVER_NO_CAP};
    for (int i = 0; i < 3; i++) {
        *texts[i] = arena_text(memory, text_of(db_text(rows, row, i)));
        if (texts[i]->at == NULL)
            return false;
    }
    return meter_by_name(text_of(db_text(rows, row, 5)), &out->meter) &&
           (out->unlimited || read_amount(rows, row, AT_BASE, out->meter, &out->base)) &&
           read_amount(rows, row, AT_CARRY, out->meter, &out->carry) &&
           (db_text(rows, row, AT_CAP) == NULL ||
            read_amount(rows, row, AT_CAP, out->meter, &out->total_cap));
}

bool
past_carries(struct session *session, int64_t at_ms, struct arena *memory, struct list *out,
             struct err *why)
{
    char at[24];
    const char *const values[] = {at};

    (void)snprintf(at, sizeof at, "%" PRId64, at_ms);
    PGresult *rows = db_query(&session->db, sql_carries, values, 1, why);
    bool good = rows != NULL;

    for (int row = 0; good && row < PQntuples(rows); row++) {
        struct carry_memory *carry = list_add(out);

        good = (carry != NULL && read_carry(rows, row, memory, carry)) ||
               err_set(why, ERR_FATAL, "what is carried over cannot be read");
    }
    PQclear(rows);
    return good;
}

/* ---- dead letters that were read again ------------------------------------------------------------- */

static const char sql_retries[] =
    "SELECT floor(extract(epoch FROM applied_time) * 1000)::bigint, shard,"
    " (body ->> 'offset')::bigint, (body ->> 'index')::integer, payload FROM tripmeter.command"
    " WHERE kind = 'retry' AND applied_at IS NOT NULL AND error IS NULL ORDER BY 1, id";

static bool
keep_bytes(struct arena *memory, const char *bytea, struct text *out)
{
    size_t size = 0;
    unsigned char *bytes =
        bytea == NULL ? NULL : PQunescapeBytea((const unsigned char *)bytea, &size);

    *out = bytes == NULL ? (struct text){NULL, 0}
                         : arena_text(memory, (struct text){(const char *)bytes, size});
    PQfreemem(bytes);
    return out->at != NULL;
}

bool
past_retries(struct session *session, int64_t from_ms, int64_t to_ms, struct arena *memory,
             struct list *out, struct err *why)
{
    PGresult *rows = db_query(&session->db, sql_retries, NULL, 0, why);
    bool good = rows != NULL;

    for (int row = 0; good && row < PQntuples(rows); row++) {
        const int64_t at_ms = db_int(rows, row, 0);

        if (at_ms < from_ms || at_ms >= to_ms)
            continue;
        struct past_retry *retry = list_add(out);

        if (retry == NULL) {
            good = err_set(why, ERR_INPUT, "too many dead letters were read again");
            break;
        }
        *retry = (struct past_retry){.at_ms = at_ms,
                                     .partition = (int32_t)db_int(rows, row, 1),
                                     .offset = db_int(rows, row, 2),
                                     .index = (int32_t)db_int(rows, row, 3)};
        good = keep_bytes(memory, db_text(rows, row, 4), &retry->value) ||
               err_set(why, ERR_FATAL, "out of memory");
    }
    PQclear(rows);
    return good;
}
