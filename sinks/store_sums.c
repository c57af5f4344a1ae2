/* Facts and totals: rows that add up.  Their columns are those of meter.def. */
#include "sinks/store_private.h"

#include "core/identity.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define SQL_SIZE  16384
#define KEY_LIMIT 8

enum key_type { KEY_TEXT, KEY_TIME };

/* Key columns come first, then the counts, then cost, charge, refunded, estimate. */
static const struct sums_table {
    const char *name;
    struct {
        const char *name;
        enum key_type type;
        size_t at; /* in the struct of a row */
    } keys[KEY_LIMIT];
    size_t key_count; /* columns before the amounts */
    size_t conflict;  /* how many of them identify the row */
    size_t delta;     /* where the amounts are */
    bool narrow;      /* as struct delta, else whole */
} tables[SUMS_COUNT] = {
    [SUMS_FACTS] = {"tenant_fact",
                    {{"tenant", KEY_TEXT, offsetof(struct fact, tenant)},
                     {"project", KEY_TEXT, offsetof(struct fact, project)},
                     {"feature", KEY_TEXT, offsetof(struct fact, feature)},
                     {"provider", KEY_TEXT, offsetof(struct fact, provider)},
                     {"model", KEY_TEXT, offsetof(struct fact, model)},
                     {"hour", KEY_TIME, offsetof(struct fact, hour_ms)},
                     {"period", KEY_TIME, offsetof(struct fact, period_ms)}},
                    7,
                    7,
                    offsetof(struct fact, delta),
                    true},
    [SUMS_KEY_FACTS] = {"key_fact",
                        {{"tenant", KEY_TEXT, offsetof(struct key_fact, tenant)},
                         {"key", KEY_TEXT, offsetof(struct key_fact, key)},
                         {"hour", KEY_TIME, offsetof(struct key_fact, hour_ms)},
                         {"period", KEY_TIME, offsetof(struct key_fact, period_ms)}},
                        4,
                        4,
                        offsetof(struct key_fact, delta),
                        true},
    [SUMS_PERIODS] = {"period_total",
                      {{"tenant", KEY_TEXT, offsetof(struct period_total, tenant)},
                       {"project", KEY_TEXT, offsetof(struct period_total, project)},
                       {"period", KEY_TIME, offsetof(struct period_total, start_ms)},
                       {"period_end", KEY_TIME, offsetof(struct period_total, end_ms)}},
                      4,
                      3,
                      offsetof(struct period_total, delta),
                      false},
    [SUMS_ADJUSTMENTS] = {"period_adjustment",
                          {{"tenant", KEY_TEXT, offsetof(struct adjustment, tenant)},
                           {"project", KEY_TEXT, offsetof(struct adjustment, project)},
                           {"period", KEY_TIME, offsetof(struct adjustment, period_ms)},
                           {"service", KEY_TIME, offsetof(struct adjustment, service.start_ms)},
                           {"service_end", KEY_TIME, offsetof(struct adjustment, service.end_ms)}},
                          5,
                          4,
                          offsetof(struct adjustment, delta),
                          false},
};

#define MONEY_COUNT 4
static const char *const money_names[MONEY_COUNT] = {"cost", "charge", "refunded", "estimate"};
enum { AMOUNT_COUNT = COUNT_COUNT + MONEY_COUNT };

static const char *
amount_name(size_t i)
{
    return i < COUNT_COUNT ? count_names[i] : money_names[i - COUNT_COUNT];
}

/* Where amount i is within struct amounts. */
static size_t
amount_at(size_t i)
{
    static const size_t money_at[MONEY_COUNT] = {
        offsetof(struct amounts, cost), offsetof(struct amounts, charge),
        offsetof(struct amounts, refunded), offsetof(struct amounts, estimate)};

    return i < COUNT_COUNT ? offsetof(struct amounts, count) + i * sizeof(int64_t)
                           : money_at[i - COUNT_COUNT];
}

static bool
is_used(uint32_t used, size_t amount)
{
    return (used & UINT32_C(1) << amount) != 0;
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
add_keys(struct sql *sql, const struct sums_table *table)
{
    for (size_t i = 0; i < table->key_count; i++)
        add(sql, "%s%s", i == 0 ? "" : ", ", table->keys[i].name);
}

static void
add_amounts(struct sql *sql)
{
    for (size_t i = 0; i < AMOUNT_COUNT; i++)
        add(sql, ", %s", amount_name(i));
}

/* The amounts that come as parameters; those that do not are 0.  The arrays are unnested side by side
 * in the list of what is selected, row by row; in FROM each would be written to a table of its own
 * first.  Returns the number of the parameter behind. */
static size_t
add_select(struct sql *sql, const struct sums_table *table, uint32_t used)
{
    size_t param = 1;

    add(sql, "SELECT ");
    for (size_t i = 0; i < table->key_count; i++)
        add(sql, "%sunnest($%zu::%s[])", i == 0 ? "" : ", ", param++,
            table->keys[i].type == KEY_TEXT ? "text" : "timestamptz");
    for (size_t i = 0; i < AMOUNT_COUNT; i++)
        if (is_used(used, i))
            add(sql, ", unnest($%zu::%s[])", param++, i < COUNT_COUNT ? "bigint" : "numeric");
        else
            add(sql, ", 0");
    return param;
}

static size_t
add_upsert(struct sql *sql, const struct sums_table *table, uint32_t used)
{
    add(sql, "INSERT INTO tripmeter.%s AS t (", table->name);
    add_keys(sql, table);
    add_amounts(sql);
    add(sql, ") ");
    const size_t param = add_select(sql, table, used);

    add(sql, " ON CONFLICT (");
    for (size_t i = 0; i < table->conflict; i++)
        add(sql, "%s%s", i == 0 ? "" : ", ", table->keys[i].name);
    add(sql, ") DO UPDATE SET ");
    for (size_t i = table->conflict; i < table->key_count; i++)
        add(sql, "%s = excluded.%s, ", table->keys[i].name, table->keys[i].name);
    for (size_t i = 0; i < AMOUNT_COUNT; i++)
        if (is_used(used, i))
            add(sql, "%s%s = t.%s + excluded.%s", i == 0 ? "" : ", ", amount_name(i),
                amount_name(i), amount_name(i));
    return param;
}

const char *
store_sums_sql(enum sums sums, uint32_t used, struct arena *arena)
{
    const struct sums_table *const table = &tables[sums];
    struct sql sql = {arena_take(arena, SQL_SIZE), 0};

    if (sql.at == NULL)
        return NULL;
    if (sums == SUMS_ADJUSTMENTS) {
        (void)add_upsert(&sql, table, used);
        return sql.at;
    }
    if (sums == SUMS_PERIODS) {
        (void)add_upsert(&sql, table, used);
        add(&sql, " RETURNING ");
        add_keys(&sql, table);
        add_amounts(&sql);
        return sql.at;
    }
    add(&sql, "WITH written AS (");
    const size_t counted = add_upsert(&sql, table, used);

    /* Events are the first amount, behind the keys. */
    add(&sql,
        " RETURNING 1) SELECT tripmeter.settle_check('%s', $%zu,"
        " (SELECT coalesce(sum(events), 0) FROM (SELECT unnest($%zu::bigint[])) AS d(events)),"
        " cardinality($1::text[]), (SELECT count(*) FROM written))",
        table->name, counted, table->key_count + 1);
    return sql.at;
}

/* ---- rows -------------------------------------------------------------------------------------- */

static const struct list *
rows_of(enum sums sums, const struct settlement *settlement)
{
    const struct list *const lists[SUMS_COUNT] = {
        [SUMS_FACTS] = &settlement->facts,
        [SUMS_KEY_FACTS] = &settlement->key_facts,
        [SUMS_PERIODS] = &settlement->periods,
        [SUMS_ADJUSTMENTS] = &settlement->adjustments,
    };

    return lists[sums];
}

/* The amounts of a row: where they are, or as they are read into `out`. */
static const struct amounts *
amounts_of(const struct sums_table *table, const struct settlement *settlement, const void *row,
           struct amounts *out)
{
    const void *const delta = (const char *)row + table->delta;

    if (!table->narrow)
        return delta;
    delta_read(delta, &settlement->wide, out);
    return out;
}

uint32_t
store_sums_used(enum sums sums, const struct settlement *settlement)
{
    const struct list *const list = rows_of(sums, settlement);
    struct amounts any = {.cost = 0};
    uint32_t used = UINT32_C(1) << COUNT_events;

    for (size_t i = 0; i < list->count; i++) {
        struct amounts own;
        const struct amounts *const one =
            amounts_of(&tables[sums], settlement, list_at(list, i), &own);

        for (size_t c = 0; c < COUNT_COUNT; c++)
            any.count[c] |= one->count[c];
        any.cost |= one->cost;
        any.charge |= one->charge;
        any.refunded |= one->refunded;
        any.estimate |= one->estimate;
    }
    for (size_t i = 0; i < COUNT_COUNT; i++)
        used |= (uint32_t)(any.count[i] != 0) << i;
    return used | (uint32_t)(any.cost != 0) << COUNT_COUNT |
           (uint32_t)(any.charge != 0) << (COUNT_COUNT + 1) |
           (uint32_t)(any.refunded != 0) << (COUNT_COUNT + 2) |
           (uint32_t)(any.estimate != 0) << (COUNT_COUNT + 3);
}

/* ---- order ------------------------------------------------------------------------------------- */

static const struct text *
key_text(const struct sums_table *table, size_t key, const void *row)
{
    return (const void *)((const char *)row + table->keys[key].at);
}

static int64_t
key_time(const struct sums_table *table, size_t key, const void *row)
{
    return *(const int64_t *)(const void *)((const char *)row + table->keys[key].at);
}

static int
compare_keys(const struct sums_table *table, const void *a, const void *b)
{
    int order = 0;

    for (size_t i = 0; i < table->conflict && order == 0; i++)
        if (table->keys[i].type == KEY_TEXT)
            order = text_compare(*key_text(table, i, a), *key_text(table, i, b));
        else
            order = (key_time(table, i, a) > key_time(table, i, b)) -
                    (key_time(table, i, a) < key_time(table, i, b));
    return order;
}

/* The tenant in the high half, so that its rows lie side by side, as in the index. */
static uint64_t
place_of(const struct sums_table *table, const void *row)
{
    const uint64_t odd = UINT64_C(0x9E3779B97F4A7C15); /* 2^64 / golden ratio: spreads its factor */
    const uint64_t tenant = identity_stable_text(0, *key_text(table, 0, row));
    uint64_t rest = 0;

    for (size_t i = 1; i < table->conflict; i++)
        if (table->keys[i].type == KEY_TEXT)
            rest = identity_stable_text(rest, *key_text(table, i, row));
        else
            rest = (rest ^ (uint64_t)key_time(table, i, row)) * odd;
    return (tenant & ~(uint64_t)UINT32_MAX) | rest >> 32;
}

static int
compare_placed(enum sums sums, const struct placed *a, const struct placed *b)
{
    return compare_keys(&tables[sums], a->row, b->row);
}

static int
compare_facts(const void *a, const void *b)
{
    return compare_placed(SUMS_FACTS, a, b);
}

static int
compare_key_facts(const void *a, const void *b)
{
    return compare_placed(SUMS_KEY_FACTS, a, b);
}

static int
compare_periods(const void *a, const void *b)
{
    return compare_placed(SUMS_PERIODS, a, b);
}

static int
compare_adjustments(const void *a, const void *b)
{
    return compare_placed(SUMS_ADJUSTMENTS, a, b);
}

/* The rows in the order in which they are written; overwritten by the next call. */
static const struct placed *
placed(struct store *store, enum sums sums, const struct list *list)
{
    static placed_compare *const compares[SUMS_COUNT] = {compare_facts, compare_key_facts,
                                                         compare_periods, compare_adjustments};

    if (list->count > store->placed_room || store->placed == NULL) {
        const size_t room = list->count + list->count / 2 + 16;
        struct placed *const grown = realloc(store->placed, 2 * room * sizeof *grown);

        if (grown == NULL)
            return NULL;
        store->placed = grown;
        store->placed_room = room;
    }
    for (size_t i = 0; i < list->count; i++) {
        const void *const row = list_at(list, i);

        store->placed[i] = (struct placed){place_of(&tables[sums], row), row};
    }
    placed_sort(store->placed, store->placed + store->placed_room, list->count, compares[sums]);
    return store->placed;
}

/* ---- parameters -------------------------------------------------------------------------------- */

/* Rows that are written in one go, column by column: few enough to stay in the first cache. */
#define BLOCK 64

static void
begin_columns(struct pgparams *params, const struct sums_table *table, uint32_t used)
{
    for (size_t i = 0; i < table->key_count; i++)
        (void)pgparams_array(params, table->keys[i].type == KEY_TEXT ? PG_TEXT : PG_TIME);
    for (size_t i = 0; i < AMOUNT_COUNT; i++)
        if (is_used(used, i))
            (void)pgparams_array(params, i < COUNT_COUNT ? PG_INT8 : PG_NUMERIC);
}

static void
add_block(struct pgparam *column, const struct sums_table *table, uint32_t used,
          const struct settlement *settlement, const void *const *rows, size_t count)
{
    struct amounts read[BLOCK];
    const void *amounts[BLOCK];

    for (size_t i = 0; i < table->key_count; i++)
        if (table->keys[i].type == KEY_TEXT)
            pgarray_text_column(column++, rows, count, table->keys[i].at);
        else
            pgarray_time_column(column++, rows, count, table->keys[i].at);
    for (size_t i = 0; i < count; i++)
        amounts[i] = amounts_of(table, settlement, rows[i], &read[i]);
    for (size_t i = 0; i < AMOUNT_COUNT; i++)
        if (is_used(used, i) && i < COUNT_COUNT)
            pgarray_int8_column(column++, amounts, count, amount_at(i));
        else if (is_used(used, i))
            pgarray_money_column(column++, amounts, count, amount_at(i));
}

static bool
fill_sums(struct store *store, enum sums sums, const struct settlement *settlement, size_t *rows,
          struct err *why)
{
    const struct list *const list = rows_of(sums, settlement);
    const struct placed *const row = placed(store, sums, list);
    const void *block[BLOCK];

    if (row == NULL)
        return err_set(why, ERR_RETRY, "no memory to settle %zu rows", list->count);
    begin_columns(store_params(store), &tables[sums], store->sums_used[sums]);
    for (size_t from = 0, count; from < list->count; from += count) {
        count = list->count - from < BLOCK ? list->count - from : BLOCK;
        for (size_t i = 0; i < count; i++)
            block[i] = row[from + i].row;
        add_block(store->params.at, &tables[sums], store->sums_used[sums], settlement, block,
                  count);
    }
    *rows = list->count;
    return true;
}

bool
fill_facts(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    if (!fill_sums(store, SUMS_FACTS, input->settlement, rows, why))
        return false;
    pgarray_int8(pgparams_scalar(&store->params, PG_INT8), input->counted);
    return true;
}

bool
fill_key_facts(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    if (!fill_sums(store, SUMS_KEY_FACTS, input->settlement, rows, why))
        return false;
    pgarray_int8(pgparams_scalar(&store->params, PG_INT8), input->keyed);
    return true;
}

bool
fill_periods(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    return fill_sums(store, SUMS_PERIODS, input->settlement, rows, why);
}

bool
fill_adjustments(struct store *store, const struct settle_input *input, size_t *rows,
                 struct err *why)
{
    return fill_sums(store, SUMS_ADJUSTMENTS, input->settlement, rows, why);
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
           pg_read_money(result, row, column + 2, &out->refunded) &&
           pg_read_money(result, row, column + 3, &out->estimate);
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
    differing->delta = *real;
    result->differing = store->differing;
    return true;
}

static int
compare_places(const void *one, const void *other)
{
    const struct placed *const a = one;
    const struct placed *const b = other;

    return a->place != b->place ? (a->place > b->place) - (a->place < b->place)
                                : compare_periods(a, b);
}

static const struct placed *
find(const struct placed *sorted, size_t count, const struct period_total *total)
{
    const struct placed wanted = {.place = place_of(&tables[SUMS_PERIODS], total), .row = total};

    return bsearch(&wanted, sorted, count, sizeof wanted, compare_places);
}

bool
store_compare_periods(struct store *store, const struct settlement *settlement,
                      const PGresult *totals, struct settle_result *result, struct err *why)
{
    const struct list *const list = &settlement->periods;
    const struct placed *const sorted = placed(store, SUMS_PERIODS, list);

    if (sorted == NULL)
        return err_set(why, ERR_RETRY, "no memory to compare totals");
    for (int row = 0; row < PQntuples(totals); row++) {
        struct amounts real;
        const struct period_total key = {
            .tenant = pg_read_text(totals, row, 0),
            .project = pg_read_text(totals, row, 1),
            .start_ms = pg_read_time(totals, row, 2),
        };
        const struct placed *const found = find(sorted, list->count, &key);
        const struct period_total *const total = found == NULL ? NULL : found->row;

        if (total == NULL || !store_read_amounts(totals, row, 4, &real))
            return err_set(why, ERR_FATAL, "Postgres answered with a total nobody sent");
        if (total->expected_known && !amounts_equal(&real, &total->expected) &&
            !add_differing(store, total, &real, result))
            return err_set(why, ERR_RETRY, "no memory to compare totals");
    }
    return true;
}
