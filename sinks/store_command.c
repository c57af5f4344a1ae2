/* Commands of operators and programs that wait for the owner of their shard. */
#include "sinks/store_private.h"

#define COMMAND_LIMIT "1000"
#define LOAD_MS       30000

static const char sql_waiting[] =
    "SELECT id, shard, kind, tenant, actor, reason, (body->>'serial')::bigint,"
    " (body->>'on')::boolean, body->>'topic', (body->>'offset')::bigint,"
    " (body->>'index')::integer, (body->>'time_ms')::bigint, decode(body->>'key', 'hex'), payload,"
    " body->>'feature', body->>'word', (body->>'until_ms')::bigint,"
    " body->>'metric', (body->>'since_ms')::bigint, decode(body->>'before', 'hex')"
    " FROM tripmeter.command WHERE shard = ANY ($1::integer[]) AND applied_at IS NULL"
    " AND id <> ALL ($2::bigint[]) ORDER BY id LIMIT " COMMAND_LIMIT;

enum column {
    COLUMN_ID,
    COLUMN_SHARD,
    COLUMN_KIND,
    COLUMN_TENANT,
    COLUMN_ACTOR,
    COLUMN_REASON,
    COLUMN_SERIAL,
    COLUMN_ON,
    COLUMN_TOPIC,
    COLUMN_OFFSET,
    COLUMN_INDEX,
    COLUMN_TIME,
    COLUMN_KEY,
    COLUMN_VALUE,
    COLUMN_FEATURE,
    COLUMN_WORD,
    COLUMN_UNTIL,
    COLUMN_METRIC,
    COLUMN_SINCE,
    COLUMN_BEFORE,
};

static PGresult *
waiting(struct store *store, const struct command_query *query, struct err *why)
{
    struct pgparams *const params = store_params(store);
    struct pgparam *const shards = pgparams_array(params, PG_INT4);

    for (size_t i = 0; i < query->shard_count; i++)
        pgarray_int4(shards, query->shards[i]);
    struct pgparam *const taken = pgparams_array(params, PG_INT8);

    for (size_t i = 0; i < query->taken_count; i++)
        pgarray_int8(taken, query->taken[i]);
    return store_query(store, sql_waiting, why);
}

static enum command_kind
kind_of(struct text name)
{
    static const char *const names[COMMAND_KIND_COUNT] = {
        [COMMAND_TENANT] = "tenant",   [COMMAND_WORD] = "word",     [COMMAND_POLICY] = "policy",
        [COMMAND_ENFORCE] = "enforce", [COMMAND_RETRY] = "retry",   [COMMAND_BREAKER] = "breaker",
        [COMMAND_RESUME] = "resume",   [COMMAND_RERATE] = "rerate", [COMMAND_ANOMALY] = "anomaly",
    };
    enum command_kind kind = COMMAND_TENANT;

    while (kind < COMMAND_KIND_COUNT && !text_eq(name, text_of(names[kind])))
        kind++;
    return kind;
}

static bool
loads(enum command_kind kind)
{
    return kind == COMMAND_TENANT || kind == COMMAND_WORD;
}

/* Loads the tenants of the commands that need them, in order; each as often as it is named. */
static bool
load_tenants(struct store *store, const PGresult *rows, struct arena *names_arena, struct err *why)
{
    const size_t room = (size_t)PQntuples(rows) + 1;
    struct text *const names = arena_take(names_arena, room * sizeof *names);
    size_t count = 0;

    if (names == NULL)
        return err_set(why, ERR_RETRY, "no memory for commands");
    for (int row = 0; row < PQntuples(rows); row++)
        if (loads(kind_of(pg_read_text(rows, row, COLUMN_KIND))))
            names[count++] = pg_read_text(rows, row, COLUMN_TENANT);
    const struct load_query query = {.names = names, .count = count, .contract_only = true};

    if (!store_load_send(store, &query, why))
        return false;
    const int taken = store_load_take(store, LOAD_MS, why);

    if (taken == 0) {
        store->pg.broken = true;
        (void)pg_error(&store->pg, NULL, why);
    }
    return taken == 1;
}

/* The function that wrote them lets no other words through. */
static void
read_anomaly(const PGresult *rows, int row, struct command *command)
{
    const struct text metric = pg_read_text(rows, row, COLUMN_METRIC);
    int which = 0;

    while (which < WATCH_METRIC_COUNT && !text_eq(metric, text_of(watch_metric_names[which])))
        which++;
    command->anomaly.feature = pg_read_text(rows, row, COLUMN_FEATURE);
    command->anomaly.metric = (enum watch_metric)which;
    command->anomaly.since_ms = pg_read_int(rows, row, COLUMN_SINCE);
    command->anomaly.before = pg_read_text(rows, row, COLUMN_BEFORE);
    if (!watch_answer_by_name(pg_read_text(rows, row, COLUMN_WORD), &command->anomaly.answer))
        command->anomaly.answer = WATCH_ANSWER_COUNT;
}

static struct command
read_command(const PGresult *rows, int row)
{
    const enum command_kind kind = kind_of(pg_read_text(rows, row, COLUMN_KIND));
    struct command command = {
        .id = pg_read_int(rows, row, COLUMN_ID),
        .kind = kind,
        .tenant = pg_read_text(rows, row, COLUMN_TENANT),
        .serial = pg_read_int(rows, row, COLUMN_SERIAL),
        .on = pg_read_bool(rows, row, COLUMN_ON),
        .actor = pg_read_text(rows, row, COLUMN_ACTOR),
        .reason = pg_read_text(rows, row, COLUMN_REASON),
    };

    if (kind == COMMAND_RESUME)
        command.topic = pg_read_text(rows, row, COLUMN_TOPIC);
    if (kind == COMMAND_RETRY) {
        command.retry.topic = pg_read_text(rows, row, COLUMN_TOPIC);
        command.retry.partition = (int32_t)pg_read_int(rows, row, COLUMN_SHARD);
        command.retry.offset = pg_read_int(rows, row, COLUMN_OFFSET);
        command.retry.index = (int32_t)pg_read_int(rows, row, COLUMN_INDEX);
        command.retry.time_ms = pg_read_int(rows, row, COLUMN_TIME);
        command.retry.key = pg_read_text(rows, row, COLUMN_KEY);
        command.retry.value = pg_read_text(rows, row, COLUMN_VALUE);
    }
    if (kind == COMMAND_ANOMALY)
        read_anomaly(rows, row, &command);
    if (kind == COMMAND_BREAKER) {
        command.breaker.feature = pg_read_text(rows, row, COLUMN_FEATURE);
        command.breaker.until_ms =
            PQgetisnull(rows, row, COLUMN_UNTIL) ? INT64_MAX : pg_read_int(rows, row, COLUMN_UNTIL);
        /* The function that wrote it lets no other word through. */
        if (!breaker_word_by_name(pg_read_text(rows, row, COLUMN_WORD), &command.breaker.word))
            command.breaker.word = BREAKER_WORD_COUNT;
    }
    return command;
}

static bool
pass_on(struct store *store, const PGresult *rows, store_on_command *on_command, void *context,
        struct err *why)
{
    struct load_cursor cursor = {.tenant = 0};

    for (int row = 0; row < PQntuples(rows); row++) {
        struct command command = read_command(rows, row);

        if (loads(command.kind) && !store_loaded(store, &cursor, &command.load, why))
            return false;
        on_command(context, (int32_t)pg_read_int(rows, row, COLUMN_SHARD), &command);
    }
    return true;
}

bool
store_commands(struct store *store, const struct command_query *query, store_on_command *on_command,
               void *context, struct err *why)
{
    PGresult *const rows = waiting(store, query, why);

    if (rows == NULL)
        return false;
    bool good = true;

    if (PQntuples(rows) > 0) {
        struct arena *const names = arena_new(STORE_ARENA_BYTES);

        good = names != NULL ? load_tenants(store, rows, names, why) &&
                                   pass_on(store, rows, on_command, context, why)
                             : err_set(why, ERR_RETRY, "no memory for commands");
        store_load_end(store);
        arena_free(names);
    }
    PQclear(rows);
    return good;
}
