/* Anomalies: series and incidents as rows of a settlement, and loading the series. */
#include "sinks/store_private.h"

/* Beyond it nothing that is counted can be. */
#define VALUE_LIMIT 1e27

static tally
nano(float value)
{
    const double exact = (double)value * (double)MONEY_NANO_PER_UNIT;

    return (tally)(exact > VALUE_LIMIT ? VALUE_LIMIT : exact < -VALUE_LIMIT ? -VALUE_LIMIT : exact);
}

/* ---- series ----------------------------------------------------------------------------------------- */

static int
compare_watches(const void *one, const void *other)
{
    const struct watch_memory *const a = one;
    const struct watch_memory *const b = other;
    const int order = text_compare(a->tenant, b->tenant);

    return order != 0 ? order : text_compare(a->feature, b->feature);
}

const char sql_watches[] =
    "WITH w AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[],"
    " $5::timestamptz[], $6::integer[], $7::bigint[], $8::numeric[], $9::numeric[], $10::numeric[],"
    " $11::numeric[]) AS w(tenant, feature, metric, state, taken_at, seconds, windows, low, high,"
    " usual, threshold)),"
    " gone AS (DELETE FROM tripmeter.anomaly_series s USING w WHERE w.state IS NULL"
    " AND s.tenant = w.tenant AND s.feature = w.feature AND s.metric = w.metric)"
    " INSERT INTO tripmeter.anomaly_series AS s"
    " SELECT w.tenant, w.feature, w.metric, w.state, w.taken_at, w.seconds * interval '1 second',"
    " w.windows, w.low, w.high, w.usual, w.threshold FROM w WHERE w.state IS NOT NULL"
    " ON CONFLICT (tenant, feature, metric) DO UPDATE SET state = excluded.state,"
    " taken_at = excluded.taken_at, width = excluded.width, windows = excluded.windows,"
    " low = excluded.low, high = excluded.high, usual = excluded.usual,"
    " threshold = excluded.threshold";

static void
put_series(struct pgparam *column, const struct watch_memory *memory, enum watch_metric metric)
{
    const struct watch *const watch = &memory->watch;
    const struct detector *const detector = &watch->series[metric].detector;
    const struct extremes *const record = &detector->extremes[CHANNEL_VALUE];
    char state[WATCH_STATE_SIZE];
    const size_t size = watch_store(watch, metric, state);

    pgarray_text(column++, memory->tenant);
    pgarray_text(column++, memory->feature);
    pgarray_text(column++, text_of(watch_metric_names[metric]));
    pgarray_text_or_null(column++,
                         memory->gone ? (struct text){NULL, 0} : (struct text){state, size});
    pgarray_time(column++, watch->book.fed_ms);
    pgarray_int4(column++, (int32_t)(watch_width(watch) / CLOCK_SECOND_MS));
    pgarray_int8(column++, detector->windows);
    pgarray_money(column++, nano(record->low));
    pgarray_money(column++, nano(record->high));
    pgarray_money(column++, nano(detector_usual(detector, watch->book.fed_ms / CLOCK_SECOND_MS)));
    pgarray_money(column, nano(detector_threshold(detector)));
}

bool
fill_watches(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {PG_TEXT,    PG_TEXT,    PG_TEXT,   PG_BYTEA,
                                         PG_TIME,    PG_INT4,    PG_INT8,   PG_NUMERIC,
                                         PG_NUMERIC, PG_NUMERIC, PG_NUMERIC};
    const struct list *const list = &input->settlement->watches;
    const struct keyed_row *const row = store_keyed(store, list, compare_watches);

    if (row == NULL)
        return store_no_memory(why);
    struct pgparam *const column = store_columns(store, types, sizeof types / sizeof types[0]);

    for (size_t i = 0; i < list->count; i++) {
        if (!row[i].last)
            continue;
        for (int m = 0; m < WATCH_METRIC_COUNT; m++) {
            put_series(column, row[i].row, (enum watch_metric)m);
            ++*rows;
        }
    }
    return true;
}

/* In the order of the names, so that those of one watch stand together. */
const char sql_load_watches[] =
    "SELECT n.ord, s.feature, s.metric, s.state"
    " FROM unnest($1::text[]) WITH ORDINALITY AS n(tenant, ord)"
    " JOIN tripmeter.anomaly_series s USING (tenant) WHERE $2 < 'infinity'::timestamptz"
    " ORDER BY n.ord, s.feature, s.metric";

static bool
restore(struct watch *watch, const PGresult *answer, int row)
{
    const struct text metric = pg_read_text(answer, row, 2);
    const struct text state = pg_read_text(answer, row, 3);

    for (int m = 0; m < WATCH_METRIC_COUNT; m++)
        if (text_eq(metric, text_of(watch_metric_names[m])))
            return watch_restore(watch, (enum watch_metric)m, state.at, state.size);
    return false;
}

/* A watch of which one series cannot be read, as after a newer version, begins anew. */
bool
store_read_watches(struct store *store, const PGresult *answer, int row, int count,
                   struct tenant_load *load)
{
    const int end = row + count;

    load->watches =
        arena_take(store->arena, ((size_t)count / WATCH_METRIC_COUNT + 1) * sizeof *load->watches);
    while (load->watches != NULL && row < end) {
        const struct text feature = pg_read_text(answer, row, 1);
        struct watch_memory *const memory = &load->watches[load->watch_count];
        int restored = 0;

        *memory = (struct watch_memory){.tenant = load->name, .feature = feature};
        for (; row < end && text_eq(pg_read_text(answer, row, 1), feature); row++)
            restored += restore(&memory->watch, answer, row);
        load->watch_count += restored == WATCH_METRIC_COUNT;
    }
    return load->watches != NULL;
}

/* ---- incidents ---------------------------------------------------------------------------------------- */

static int
compare_notes(const void *one, const void *other)
{
    const struct anomaly_note *const a = one;
    const struct anomaly_note *const b = other;
    int order = text_compare(a->tenant, b->tenant);

    if (order == 0)
        order = text_compare(a->feature, b->feature);
    if (order == 0)
        order = (int)a->metric - (int)b->metric;
    return order != 0 ? order : store_compare_int(a->since_ms, b->since_ms);
}

const char sql_notes[] =
    "INSERT INTO tripmeter.anomaly AS a"
    " SELECT n.tenant, n.feature, n.metric, n.since_at, n.noticed_at,"
    " n.seconds * interval '1 second', n.tier, n.over_at, n.records, n.score, n.value, n.usual,"
    " n.excess, n.usual_day, n.words, n.folded_into, n.before"
    " FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[],"
    " $6::integer[], $7::text[], $8::timestamptz[], $9::integer[], $10::numeric[], $11::numeric[],"
    " $12::numeric[], $13::numeric[], $14::numeric[], $15::text[], $16::text[], $17::bytea[])"
    " AS n(tenant, feature, metric, since_at, noticed_at, seconds, tier, over_at, records, score,"
    " value, usual, excess, usual_day, words, folded_into, before)"
    " ON CONFLICT (tenant, feature, metric, since_at) DO UPDATE SET tier = excluded.tier,"
    " over_at = excluded.over_at, records = a.records + excluded.records, score = excluded.score,"
    " value = excluded.value, usual = excluded.usual, excess = excluded.excess,"
    " usual_day = excluded.usual_day, words = coalesce(excluded.words, a.words),"
    " folded_into = coalesce(excluded.folded_into, a.folded_into)";

static void
put_note(struct pgparam *column, const struct anomaly_note *note)
{
    pgarray_text(column++, note->tenant);
    pgarray_text(column++, note->feature);
    pgarray_text(column++, text_of(watch_metric_names[note->metric]));
    pgarray_time(column++, note->since_ms);
    pgarray_time(column++, note->at_ms);
    pgarray_int4(column++, (int32_t)(note->width_ms / CLOCK_SECOND_MS));
    pgarray_text(column++, text_of(watch_tier_names[note->tier]));
    if (note->over)
        pgarray_time(column++, note->at_ms);
    else
        pgarray_null(column++);
    pgarray_int4(column++, note->records);
    pgarray_money(column++, nano(note->score));
    pgarray_money(column++, nano(note->value));
    pgarray_money(column++, nano(note->usual));
    pgarray_money(column++, nano(note->excess));
    pgarray_money(column++, nano(note->day));
    pgarray_text_or_null(column++, note->words);
    pgarray_text_or_null(column++, note->folded);
    pgarray_text(column, (struct text){(const char *)note->before, sizeof note->before});
}

/* What came later of the same incident, on what came before. */
static void
join(struct anomaly_note *sum, const struct anomaly_note *later)
{
    const struct anomaly_note first = *sum;

    *sum = *later;
    sum->at_ms = later->over ? later->at_ms : first.at_ms;
    sum->records += first.records;
    if (later->words.at == NULL)
        sum->words = first.words;
    if (later->folded.at == NULL)
        sum->folded = first.folded;
    if (first.records > 0)
        memcpy(sum->before, first.before, sizeof sum->before);
}

bool
fill_notes(struct store *store, const struct settle_input *input, size_t *rows, struct err *why)
{
    static const enum pg_type types[] = {PG_TEXT,    PG_TEXT,    PG_TEXT,    PG_TIME,    PG_TIME,
                                         PG_INT4,    PG_TEXT,    PG_TIME,    PG_INT4,    PG_NUMERIC,
                                         PG_NUMERIC, PG_NUMERIC, PG_NUMERIC, PG_NUMERIC, PG_TEXT,
                                         PG_TEXT,    PG_BYTEA};
    const struct list *const list = &input->settlement->notes;
    const struct keyed_row *const row = store_keyed(store, list, compare_notes);

    if (row == NULL)
        return store_no_memory(why);
    struct pgparam *const column = store_columns(store, types, sizeof types / sizeof types[0]);

    for (size_t i = 0; i < list->count; i++) {
        struct anomaly_note note = *(const struct anomaly_note *)row[i].row;

        for (; !row[i].last; i++)
            join(&note, row[i + 1].row);
        put_note(column, &note);
        ++*rows;
    }
    return true;
}
