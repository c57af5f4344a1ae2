/* Freezing: the statements.  Each takes arrays, one element a target, message or transition. */
#include "sinks/freeze.h"

static struct pgparams *
params_of(struct outbox *outbox)
{
    pgparams_clear(&outbox->params);
    return &outbox->params;
}

/* $1 of a statement with NOW. */
static struct pgparams *
params_with_now(struct outbox *outbox)
{
    struct pgparams *const params = params_of(outbox);
    struct pgparam *const now = pgparams_scalar(params, PG_TIME);

    if (outbox->now_ms == 0)
        pgarray_null(now);
    else
        pgarray_time(now, outbox->now_ms);
    return params;
}

static PGresult *
ask(struct outbox *outbox, const char *statement, struct err *why)
{
    return pg_query(&outbox->pg, statement, &outbox->params, why);
}

static bool
tell_server(struct outbox *outbox, const char *statement, struct err *why)
{
    PGresult *const done = ask(outbox, statement, why);

    PQclear(done);
    return done != NULL;
}

static void
add_endpoint(struct pgparam *param, const struct target *target)
{
    pgarray_text(param, text_of(target->endpoint->name));
}

static void
add_group(struct pgparam *param, const struct target *target)
{
    pgarray_text(param, text_of(target->routed->group));
}

/* ---- locks ------------------------------------------------------------------------------------- */

static int
group_row(const PGresult *groups, const struct target *target)
{
    for (int row = 0; row < PQntuples(groups); row++)
        if (strcmp(PQgetvalue(groups, row, 0), target->endpoint->name) == 0 &&
            strcmp(PQgetvalue(groups, row, 1), target->routed->group) == 0)
            return row;
    return -1;
}

/* Sorted, so that two routers cannot wait for each other. */
static bool
lock_groups(struct batch *batch, struct err *why)
{
    struct pgparams *const params = params_of(batch->outbox);
    struct pgparam *const endpoints = pgparams_array(params, PG_TEXT);
    struct pgparam *const keys = pgparams_array(params, PG_TEXT);

    for (size_t i = 0; i < batch->targets.count; i++) {
        add_endpoint(endpoints, list_at(&batch->targets, i));
        add_group(keys, list_at(&batch->targets, i));
    }
    batch->groups = ask(batch->outbox,
                        "INSERT INTO tripmeter.delivery_group AS g (endpoint, group_key, last_seq)"
                        " SELECT DISTINCT d.endpoint, d.group_key, 0"
                        " FROM unnest($1::text[], $2::text[]) AS d(endpoint, group_key)"
                        " ORDER BY d.endpoint, d.group_key ON CONFLICT (endpoint, group_key)"
                        " DO UPDATE SET last_seq = g.last_seq"
                        " RETURNING endpoint, group_key, last_seq",
                        why);
    if (batch->groups == NULL)
        return false;
    const int count = PQntuples(batch->groups);

    batch->last_seq = arena_take(batch->outbox->arena, (size_t)count * sizeof *batch->last_seq);
    if (batch->last_seq == NULL)
        return err_set(why, ERR_RETRY, "no memory to route alerts");
    for (int row = 0; row < count; row++)
        batch->last_seq[row] = pg_read_int(batch->groups, row, 2);
    for (size_t i = 0; i < batch->targets.count; i++) {
        struct target *const target = list_at(&batch->targets, i);

        target->group = group_row(batch->groups, target);
        if (target->group < 0)
            return err_set(why, ERR_RETRY, "group %s is not locked", target->routed->group);
    }
    return true;
}

static bool
lock_heard(struct batch *batch, struct err *why)
{
    struct pgparams *const params = params_of(batch->outbox);
    struct pgparam *const endpoints = pgparams_array(params, PG_TEXT);
    struct pgparam *const fingerprints = pgparams_array(params, PG_TEXT);
    struct pgparam *const episodes = pgparams_array(params, PG_INT8);

    for (size_t i = 0; i < batch->targets.count; i++) {
        const struct target *const target = list_at(&batch->targets, i);

        add_endpoint(endpoints, target);
        pgarray_text(fingerprints, target->routed->view.fingerprint);
        pgarray_int8(episodes, target->routed->view.episode);
    }
    batch->heard = ask(batch->outbox,
                       "SELECT d.ord, o.state, o.id"
                       " FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY"
                       " AS d(endpoint, fingerprint, episode, ord) JOIN tripmeter.outbox o"
                       " ON o.endpoint = d.endpoint AND o.fingerprint = d.fingerprint"
                       " AND o.episode = d.episode WHERE o.state <> 'suppressed'"
                       " ORDER BY o.seq, o.id FOR UPDATE OF o",
                       why);
    return batch->heard != NULL;
}

bool
freeze_lock(struct batch *batch, struct err *why)
{
    if (!lock_groups(batch, why) || !lock_heard(batch, why))
        return false;
    batch->disabled =
        outbox_run(batch->outbox,
                   "SELECT endpoint FROM tripmeter.endpoint_state WHERE disabled_at IS NOT NULL",
                   NULL, 0, why);
    return batch->disabled != NULL;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static bool
supersede(struct batch *batch, struct err *why)
{
    struct pgparams *const params = params_with_now(batch->outbox);
    struct pgparam *const endpoints = pgparams_array(params, PG_TEXT);
    struct pgparam *const fingerprints = pgparams_array(params, PG_TEXT);
    struct pgparam *const episodes = pgparams_array(params, PG_INT8);

    if (batch->superseded.count == 0)
        return true;
    for (size_t i = 0; i < batch->superseded.count; i++) {
        const struct target *const *const target = list_at(&batch->superseded, i);

        add_endpoint(endpoints, *target);
        pgarray_text(fingerprints, (*target)->routed->view.fingerprint);
        pgarray_int8(episodes, (*target)->routed->view.episode);
    }
    return tell_server(batch->outbox,
                       "UPDATE tripmeter.outbox o SET state = 'superseded', finished_at = " NOW ","
                       " reason = 'over before it was delivered'"
                       " FROM unnest($2::text[], $3::text[], $4::bigint[])"
                       " AS d(endpoint, fingerprint, episode) WHERE o.endpoint = d.endpoint"
                       " AND o.fingerprint = d.fingerprint AND o.episode = d.episode"
                       " AND o.state IN ('queued', 'retry')",
                       why);
}

/* Nothing that is urgent waits behind the group_wait of what is not. */
static bool
hurry(struct batch *batch, struct err *why)
{
    struct pgparams *const params = params_with_now(batch->outbox);
    struct pgparam *const endpoints = pgparams_array(params, PG_TEXT);
    struct pgparam *const keys = pgparams_array(params, PG_TEXT);

    if (batch->hurried.count == 0)
        return true;
    for (size_t i = 0; i < batch->hurried.count; i++) {
        const struct target *const *const target = list_at(&batch->hurried, i);

        add_endpoint(endpoints, *target);
        add_group(keys, *target);
    }
    return tell_server(batch->outbox,
                       "UPDATE tripmeter.outbox o SET next_at = " NOW
                       " FROM unnest($2::text[], $3::text[]) AS d(endpoint, group_key)"
                       " WHERE o.endpoint = d.endpoint AND o.group_key = d.group_key"
                       " AND o.state = 'queued' AND o.next_at > " NOW,
                       why);
}

static bool
count_on(struct batch *batch, struct err *why)
{
    struct pgparams *const params = params_of(batch->outbox);
    struct pgparam *const endpoints = pgparams_array(params, PG_TEXT);
    struct pgparam *const keys = pgparams_array(params, PG_TEXT);
    struct pgparam *const numbers = pgparams_array(params, PG_INT8);

    for (int row = 0; row < PQntuples(batch->groups); row++) {
        pgarray_text(endpoints, pg_read_text(batch->groups, row, 0));
        pgarray_text(keys, pg_read_text(batch->groups, row, 1));
        pgarray_int8(numbers, batch->last_seq[row]);
    }
    return tell_server(batch->outbox,
                       "UPDATE tripmeter.delivery_group g SET last_seq = d.last_seq"
                       " FROM unnest($1::text[], $2::text[], $3::bigint[])"
                       " AS d(endpoint, group_key, last_seq) WHERE g.endpoint = d.endpoint"
                       " AND g.group_key = d.group_key AND g.last_seq <> d.last_seq",
                       why);
}

#define MESSAGE_ID_BYTES 16 /* of the hash */

static void
message_id(const struct frozen *frozen, char out[MESSAGE_ID_SIZE])
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567"; /* RFC 4648, lower case */
    char number[NUMBER_SIZE];
    const struct text parts[] = {text_of(frozen->target->endpoint->name),
                                 text_of(frozen->target->routed->group),
                                 text_of(number_text(frozen->group_seq, number))};
    unsigned char hash[32];

    outbox_hash(parts, 3, hash);
    hash[MESSAGE_ID_BYTES] = 0; /* the last of 26 characters has 3 bits of 16 bytes, 2 of nothing */
    memcpy(out, "tm_", 3);
    for (size_t i = 0; i < 26; i++) {
        const size_t bit = 5 * i;
        const unsigned pair = (unsigned)hash[bit / 8] << 8 | hash[bit / 8 + 1];

        out[3 + i] = alphabet[pair >> (11 - bit % 8) & 31];
    }
    out[29] = '\0';
}

static const char insert_sql[] =
    "INSERT INTO tripmeter.outbox (id, endpoint, kind, group_key, group_seq, fingerprint, episode,"
    " seq, thread, message, severity, state, reason, subject, body, html, next_at, created_at,"
    " finished_at) SELECT d.id, d.endpoint, d.kind, d.group_key, d.group_seq, d.fingerprint,"
    " d.episode, d.seq, d.thread, d.message, d.severity,"
    " CASE WHEN d.reason IS NULL THEN 'queued' ELSE 'suppressed' END, d.reason, d.subject, d.body,"
    " d.html, " NOW " + d.wait_ms * interval '1 ms', " NOW ","
    " CASE WHEN d.reason IS NOT NULL THEN " NOW " END"
    " FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[],"
    " $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::text[], $13::text[],"
    " $14::text[], $15::text[], $16::text[], $17::bigint[])"
    " AS d(id, endpoint, kind, group_key, group_seq, fingerprint, episode, seq, thread, message,"
    " severity, reason, subject, body, html, wait_ms)";

static void
add_message(struct pgparam *column, const struct frozen *frozen)
{
    const struct routed *const routed = frozen->target->routed;
    const struct endpoint *const endpoint = frozen->target->endpoint;
    char id[MESSAGE_ID_SIZE];

    message_id(frozen, id);
    pgarray_text(column++, text_of(id));
    pgarray_text(column++, text_of(endpoint->name));
    pgarray_text(column++, text_of(endpoint->kind == ENDPOINT_EMAIL ? "email" : "webhook"));
    pgarray_text(column++, text_of(routed->group));
    pgarray_int8(column++, frozen->group_seq);
    pgarray_text(column++, routed->view.fingerprint);
    pgarray_int8(column++, routed->view.episode);
    pgarray_int8(column++, routed->view.seq);
    pgarray_text_or_null(column++, text_of(frozen->thread));
    pgarray_text(column++, text_of(message_kind_names[frozen->kind]));
    pgarray_text(column++, text_of(severity_names[routed->episode_severity]));
    pgarray_text_or_null(column++, text_of(frozen->suppressed));
    pgarray_text_or_null(column++, frozen->message.subject);
    pgarray_text(column++, frozen->message.body);
    pgarray_text_or_null(column++, frozen->message.html);
    pgarray_int8(column, frozen->wait_ms);
}

static bool
insert(struct batch *batch, struct err *why)
{
    static const enum pg_type types[] = {
        PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT, PG_INT8, PG_TEXT, PG_INT8, PG_INT8,
        PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT, PG_INT8,
    };
    struct pgparams *const params = params_with_now(batch->outbox);
    struct pgparam *const first = params->at + params->count;

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        (void)pgparams_array(params, types[i]);
    for (size_t i = 0; i < batch->frozen.count; i++)
        add_message(first, list_at(&batch->frozen, i));
    return tell_server(batch->outbox, insert_sql, why);
}

static bool
mark_routed(struct batch *batch, struct err *why)
{
    struct pgparams *const params = params_with_now(batch->outbox);
    struct pgparam *const fingerprints = pgparams_array(params, PG_TEXT);
    struct pgparam *const episodes = pgparams_array(params, PG_INT8);
    struct pgparam *const numbers = pgparams_array(params, PG_INT8);

    for (size_t i = 0; i < batch->count; i++) {
        pgarray_text(fingerprints, batch->at[i].view.fingerprint);
        pgarray_int8(episodes, batch->at[i].view.episode);
        pgarray_int8(numbers, batch->at[i].view.seq);
    }
    return tell_server(batch->outbox,
                       "UPDATE tripmeter.transition t SET routed_at = " NOW
                       " FROM unnest($2::text[], $3::bigint[], $4::bigint[])"
                       " AS d(fingerprint, episode, seq) WHERE t.fingerprint = d.fingerprint"
                       " AND t.episode = d.episode AND t.seq = d.seq",
                       why);
}

bool
freeze_write(struct batch *batch, struct err *why)
{
    return supersede(batch, why) && hurry(batch, why) &&
           (batch->frozen.count == 0 || (insert(batch, why) && count_on(batch, why))) &&
           mark_routed(batch, why);
}
