/* Facts and totals: rows that add up.  Their columns are those of meter.def. */
#include "sinks/store_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SQL_SIZE  16384
#define KEY_LIMIT 8

/* Key columns come first, then the counts, then cost, charge, refunded. */
static const struct sums_table {
    const char *name;
    struct {
        const char *name;
        const char *type;
    } keys[KEY_LIMIT];
    size_t key_count; /* columns before the amounts */
    size_t conflict;  /* how many of them identify the row */
} tables[] = {
    [SUMS_FACTS] = {"tenant_fact",
                    {{"tenant", "text"},
                     {"project", "text"},
                     {"feature", "text"},
                     {"provider", "text"},
                     {"model", "text"},
                     {"hour", "timestamptz"},
                     {"period", "timestamptz"}},
                    7,
                    7},
    [SUMS_KEY_FACTS] =
        {"key_fact",
         {{"tenant", "text"}, {"key", "text"}, {"hour", "timestamptz"}, {"period", "timestamptz"}},
         4,
         4},
    [SUMS_PERIODS] = {"period_total",
                      {{"tenant", "text"},
                       {"project", "text"},
                       {"period", "timestamptz"},
                       {"period_end", "timestamptz"}},
                      4,
                      3},
    [SUMS_ADJUSTMENTS] = {"period_adjustment",
                          {{"tenant", "text"},
                           {"project", "text"},
                           {"period", "timestamptz"},
                           {"service", "timestamptz"},
                           {"service_end", "timestamptz"}},
                          5,
                          4},
};

#define MONEY_COUNT 3
static const char *const money_names[MONEY_COUNT] = {"cost", "charge", "refunded"};
enum { AMOUNT_COUNT = COUNT_COUNT + MONEY_COUNT };

static const char *
amount_name(size_t i)
{
    return i < COUNT_COUNT ? count_names[i] : money_names[i - COUNT_COUNT];
}

/* ---- SQL --------------------------------------------------------------------------------------- */

struct sql {
    char *at;
    size_t size;
};

static void add(struct sql *sql, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
add(struct sql *sql, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const int more = vsnprintf(sql->at + sql->size, SQL_SIZE - sql->size, format, args);

    va_end(args);
    sql->size += (size_t)more;
    if (sql->size >= SQL_SIZE)
        abort(); /* the tables above are ours: they fit or the program is wrong */
}

static void
add_columns(struct sql *sql, const struct sums_table *table)
{
    for (size_t i = 0; i < table->key_count; i++)
        add(sql, "%s%s", i == 0 ? "" : ", ", table->keys[i].name);
    for (size_t i = 0; i < AMOUNT_COUNT; i++)
        add(sql, ", %s", amount_name(i));
}

static void
add_unnest(struct sql *sql, const struct sums_table *table)
{
    size_t param = 1;

    add(sql, "unnest(");
    for (size_t i = 0; i < table->key_count; i++)
        add(sql, "%s$%zu::%s[]", i == 0 ? "" : ", ", param++, table->keys[i].type);
    for (size_t i = 0; i < AMOUNT_COUNT; i++)
        add(sql, ", $%zu::%s[]", param++, i < COUNT_COUNT ? "bigint" : "numeric");
    add(sql, ") AS d(");
    add_columns(sql, table);
    add(sql, ")");
}

static void
add_upsert(struct sql *sql, const struct sums_table *table, const char *from)
{
    add(sql, "INSERT INTO tripmeter.%s AS t (", table->name);
    add_columns(sql, table);
    add(sql, ") SELECT ");
    add_columns(sql, table);
    add(sql, " FROM ");
    if (from == NULL)
        add_unnest(sql, table);
    else
        add(sql, "%s", from);
    add(sql, " ON CONFLICT (");
    for (size_t i = 0; i < table->conflict; i++)
        add(sql, "%s%s", i == 0 ? "" : ", ", table->keys[i].name);
    add(sql, ") DO UPDATE SET ");
    for (size_t i = table->conflict; i < table->key_count; i++)
        add(sql, "%s = excluded.%s, ", table->keys[i].name, table->keys[i].name);
    for (size_t i = 0; i < AMOUNT_COUNT; i++)
        add(sql, "%s%s = t.%s + excluded.%s", i == 0 ? "" : ", ", amount_name(i), amount_name(i),
            amount_name(i));
}

const char *
store_sums_sql(enum sums sums, struct arena *arena)
{
    const struct sums_table *const table = &tables[sums];
    struct sql sql = {arena_take(arena, SQL_SIZE), 0};

    if (sql.at == NULL)
        return NULL;
    if (sums == SUMS_PERIODS || sums == SUMS_ADJUSTMENTS) {
        add_upsert(&sql, table, NULL);
        add(&sql, " RETURNING ");
        add_columns(&sql, table);
        return sql.at;
    }
    add(&sql, "WITH delta AS (SELECT * FROM ");
    add_unnest(&sql, table);
    add(&sql, "), written AS (");
    add_upsert(&sql, table, "delta");
    add(&sql,
        " RETURNING 1) SELECT tripmeter.settle_check('%s', $%zu,"
        " (SELECT coalesce(sum(events), 0) FROM delta), (SELECT count(*) FROM delta),"
        " (SELECT count(*) FROM written))",
        table->name, table->key_count + AMOUNT_COUNT + 1);
    return sql.at;
}

/* ---- parameters -------------------------------------------------------------------------------- */

static void
begin_columns(struct pgparams *params, const struct sums_table *table)
{
    for (size_t i = 0; i < table->key_count; i++)
        (void)pgparams_array(params, strcmp(table->keys[i].type, "text") == 0 ? PG_TEXT : PG_TIME);
    for (size_t i = 0; i < AMOUNT_COUNT; i++)
        (void)pgparams_array(params, i < COUNT_COUNT ? PG_INT8 : PG_NUMERIC);
}

static void
add_amounts(struct pgparam *column, const struct amounts *delta)
{
    for (size_t i = 0; i < COUNT_COUNT; i++)
        pgarray_int8(column++, delta->count[i]);
    pgarray_money(column++, delta->cost);
    pgarray_money(column++, delta->charge);
    pgarray_money(column, delta->refunded);
}

static int
compare_time(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int
compare_facts(const void *one, const void *other)
{
    const struct fact *const a = *(const struct fact *const *)one;
    const struct fact *const b = *(const struct fact *const *)other;
    int order = text_compare(a->tenant, b->tenant);

    if (order == 0)
        order = text_compare(a->project, b->project);
    if (order == 0)
        order = text_compare(a->feature, b->feature);
    if (order == 0)
        order = text_compare(a->provider, b->provider);
    if (order == 0)
        order = text_compare(a->model, b->model);
    if (order == 0)
        order = compare_time(a->hour_ms, b->hour_ms);
    return order != 0 ? order : compare_time(a->period_ms, b->period_ms);
}

static int
compare_key_facts(const void *one, const void *other)
{
    const struct key_fact *const a = *(const struct key_fact *const *)one;
    const struct key_fact *const b = *(const struct key_fact *const *)other;
    int order = text_compare(a->tenant, b->tenant);

    if (order == 0)
        order = text_compare(a->key, b->key);
    if (order == 0)
        order = compare_time(a->hour_ms, b->hour_ms);
    return order != 0 ? order : compare_time(a->period_ms, b->period_ms);
}

static int
compare_periods(const void *one, const void *other)
{
    const struct period_total *const a = *(const struct period_total *const *)one;
    const struct period_total *const b = *(const struct period_total *const *)other;
    int order = text_compare(a->tenant, b->tenant);

    if (order == 0)
        order = text_compare(a->project, b->project);
    return order != 0 ? order : compare_time(a->start_ms, b->start_ms);
}

static int
compare_adjustments(const void *one, const void *other)
{
    const struct adjustment *const a = *(const struct adjustment *const *)one;
    const struct adjustment *const b = *(const struct adjustment *const *)other;
    int order = text_compare(a->tenant, b->tenant);

    if (order == 0)
        order = text_compare(a->project, b->project);
    if (order == 0)
        order = compare_time(a->period_ms, b->period_ms);
    return order != 0 ? order : compare_time(a->service.start_ms, b->service.start_ms);
}

static const void **
begin(struct store *store, enum sums sums, const struct list *list, row_compare *compare,
      struct err *why)
{
    const void **const rows = store_sorted(store, list, compare);

    if (rows == NULL)
        (void)err_set(why, ERR_RETRY, "no memory to settle %zu rows", list->count);
    else
        begin_columns(store_params(store), &tables[sums]);
    return rows;
}

bool
fill_facts(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    const struct list *const list = &input->settlement->facts;
    const void **const row = begin(store, SUMS_FACTS, list, compare_facts, why);

    if (row == NULL)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct fact *const fact = row[i];
        struct pgparam *column = store->params.at;

        pgarray_text(column++, fact->tenant);
        pgarray_text(column++, fact->project);
        pgarray_text(column++, fact->feature);
        pgarray_text(column++, fact->provider);
        pgarray_text(column++, fact->model);
        pgarray_time(column++, fact->hour_ms);
        pgarray_time(column++, fact->period_ms);
        add_amounts(column, &fact->delta);
    }
    pgarray_int8(pgparams_scalar(&store->params, PG_INT8), input->counted);
    *rows = list->count;
    return true;
}

bool
fill_key_facts(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    const struct list *const list = &input->settlement->key_facts;
    const void **const row = begin(store, SUMS_KEY_FACTS, list, compare_key_facts, why);

    if (row == NULL)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct key_fact *const fact = row[i];
        struct pgparam *column = store->params.at;

        pgarray_text(column++, fact->tenant);
        pgarray_text(column++, fact->key);
        pgarray_time(column++, fact->hour_ms);
        pgarray_time(column++, fact->period_ms);
        add_amounts(column, &fact->delta);
    }
    pgarray_int8(pgparams_scalar(&store->params, PG_INT8), input->keyed);
    *rows = list->count;
    return true;
}

bool
fill_periods(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    const struct list *const list = &input->settlement->periods;
    const void **const row = begin(store, SUMS_PERIODS, list, compare_periods, why);

    if (row == NULL)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct period_total *const total = row[i];
        struct pgparam *column = store->params.at;

        pgarray_text(column++, total->tenant);
        pgarray_text(column++, total->project);
        pgarray_time(column++, total->start_ms);
        pgarray_time(column++, total->end_ms);
        add_amounts(column, &total->delta);
    }
    *rows = list->count;
    return true;
}

bool
fill_adjustments(struct store *store, const struct settle_input *input, size_t *rows,
                 struct err *why)
{
    const struct list *const list = &input->settlement->adjustments;
    const void **const row = begin(store, SUMS_ADJUSTMENTS, list, compare_adjustments, why);

    if (row == NULL)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct adjustment *const adjustment = row[i];
        struct pgparam *column = store->params.at;

        pgarray_text(column++, adjustment->tenant);
        pgarray_text(column++, adjustment->project);
        pgarray_time(column++, adjustment->period_ms);
        pgarray_time(column++, adjustment->service.start_ms);
        pgarray_time(column++, adjustment->service.end_ms);
        add_amounts(column, &adjustment->delta);
    }
    *rows = list->count;
    return true;
}

/* ---- answers ----------------------------------------------------------------------------------- */

bool
store_read_amounts(const PGresult *result, int row, int column, struct amounts *out)
{
    for (int i = 0; i < COUNT_COUNT; i++)
        out->count[i] = pg_read_int(result, row, column + i);
    column += COUNT_COUNT;
    return pg_read_money(result, row, column, &out->cost) &&
           pg_read_money(result, row, column + 1, &out->charge) &&
           pg_read_money(result, row, column + 2, &out->refunded);
}

static bool
add_differing(struct store *store, const struct period_total *total, const struct amounts *real,
              struct settle_result *result)
{
    if (result->period_differs == store->differing_room) {
        const size_t room = store->differing_room * 2 + 16;
        struct period_total *const grown = realloc(store->differing, room * sizeof *grown);

        if (grown == NULL)
            return false;
        store->differing = grown;
        store->differing_room = room;
    }
    struct period_total *const differing = &store->differing[result->period_differs++];

    *differing = *total;
    differing->expected = *real;
    result->differing = store->differing;
    return true;
}

bool
store_compare_periods(struct store *store, const struct settlement *settlement,
                      const PGresult *totals, struct settle_result *result, struct err *why)
{
    const struct list *const list = &settlement->periods;
    const void **const sorted = store_sorted(store, list, compare_periods);

    if (sorted == NULL)
        return err_set(why, ERR_RETRY, "no memory to compare totals");
    for (int row = 0; row < PQntuples(totals); row++) {
        struct amounts real;
        const struct period_total key = {
            .tenant = pg_read_text(totals, row, 0),
            .project = pg_read_text(totals, row, 1),
            .start_ms = pg_read_time(totals, row, 2),
        };
        const struct period_total *const wanted = &key;
        const struct period_total *const *const found =
            bsearch(&wanted, sorted, list->count, sizeof(const void *), compare_periods);

        if (found == NULL || !store_read_amounts(totals, row, 4, &real))
            return err_set(why, ERR_FATAL, "Postgres answered with a total nobody sent");
        if ((*found)->expected_known && !amounts_equal(&real, &(*found)->expected) &&
            !add_differing(store, *found, &real, result))
            return err_set(why, ERR_RETRY, "no memory to compare totals");
    }
    return true;
}
