/* Loaded tenants are read: the answers walked side by side, a tenant at a time. */
#include "sinks/store_private.h"

#include "config/log.h"
#include "config/tenant_spec.h"
#include "config/zones.h"

/* Rows of an answer that belong to the tenant at place `ord` (from 1) begin at *row. */
static int
rows_of(const PGresult *answer, int row, int64_t ord)
{
    int count = 0;

    while (row + count < PQntuples(answer) && pg_read_int(answer, row + count, 0) == ord)
        count++;
    return count;
}

static bool
read_periods(struct store *store, int row, struct tenant_load *load)
{
    const PGresult *const answer = store->loaded[ANSWER_PERIODS];

    load->periods = arena_take(store->arena, (load->period_count + 1) * sizeof *load->periods);
    for (size_t i = 0; load->periods != NULL && i < load->period_count; i++, row++) {
        struct period_total *const total = &load->periods[i];

        total->tenant = load->name;
        total->project = pg_read_text(answer, row, 1);
        if (total->project.size == 0)
            total->project.at = NULL;
        total->start_ms = pg_read_time(answer, row, 2);
        total->end_ms = pg_read_time(answer, row, 3);
        if (!store_read_amounts(answer, row, 4, &total->delta))
            return false;
    }
    return load->periods != NULL;
}

static bool
read_plans(struct store *store, int row, struct tenant_load *load)
{
    const PGresult *const answer = store->loaded[ANSWER_PLANS];

    load->plans = arena_take(store->arena, (load->plan_count + 1) * sizeof *load->plans);
    for (size_t i = 0; load->plans != NULL && i < load->plan_count; i++, row++) {
        load->plans[i].since_ms = pg_read_time(answer, row, 2);
        if (!PQgetisnull(answer, row, 1))
            load->plans[i].plan = pg_read_text(answer, row, 1);
    }
    return load->plans != NULL;
}

static bool
read_past(struct store *store, int row, struct tenant_load *load)
{
    const PGresult *const answer = store->loaded[ANSWER_PAST];

    load->past = arena_take(store->arena, (load->past_count + 1) * sizeof *load->past);
    for (size_t i = 0; load->past != NULL && i < load->past_count; i++, row++)
        load->past[i] = (struct period){pg_read_time(answer, row, 1), pg_read_time(answer, row, 2)};
    return load->past != NULL;
}

static bool
read_quotas(struct store *store, int row, struct tenant_load *load)
{
    const PGresult *const answer = store->loaded[ANSWER_QUOTAS];

    load->quotas = arena_take(store->arena, (load->quota_count + 1) * sizeof *load->quotas);
    for (size_t i = 0; load->quotas != NULL && i < load->quota_count; i++, row++) {
        struct quota_memory *const quota = &load->quotas[i];

        quota->tenant = load->name;
        quota->quota = pg_read_text(answer, row, 1);
        quota->project = pg_read_text(answer, row, 2);
        if (quota->project.size == 0)
            quota->project.at = NULL;
        quota->period_ms = pg_read_time(answer, row, 3);
        quota->spent = (uint32_t)pg_read_int(answer, row, 4);
        quota->open = pg_read_bool(answer, row, 6);
        quota->blocked = pg_read_bool(answer, row, 7);
        quota->since_ms = pg_read_time(answer, row, 8);
        quota->pace.day_ms = pg_read_time(answer, row, 9);
        quota->pace.days = pg_read_int(answer, row, 10);
        quota->pace.warned = pg_read_bool(answer, row, 12);
        quota->pace.warning = pg_read_bool(answer, row, 13);
        quota->pace.noticed = pg_read_bool(answer, row, 14);
        quota->pace.notice = pg_read_bool(answer, row, 15);
        if (!pg_read_money(answer, row, 5, &quota->spent_amount) ||
            !pg_read_money(answer, row, 11, &quota->pace.before) ||
            !pg_read_money(answer, row, 16, &quota->pace.forecast))
            return false;
    }
    return load->quotas != NULL;
}

static bool
read_words(struct store *store, int row, struct tenant_load *load)
{
    const PGresult *const answer = store->loaded[ANSWER_WORDS];

    load->words = arena_take(store->arena, (load->word_count + 1) * sizeof *load->words);
    for (size_t i = 0; load->words != NULL && i < load->word_count; i++, row++)
        load->words[i] = (struct operator_word){
            .scope = pg_read_text(answer, row, 1),
            .kind = text_eq(pg_read_text(answer, row, 2), TEXT("block")) ? WORD_BLOCK : WORD_ALLOW,
            .since_ms = pg_read_time(answer, row, 3),
            .until_ms = pg_read_time(answer, row, 4),
            .actor = pg_read_text(answer, row, 5),
            .reason = pg_read_text(answer, row, 6),
        };
    return load->words != NULL;
}

static void
log_contract(const struct tenant_load *load, const struct err *bad, const char *effect)
{
    char tenant[LOG_QUOTE_SIZE];
    char text[LOG_QUOTE_SIZE];

    log_error("contract", "tenant=%s version=%lld error=%s effect=\"%s\"",
              log_quote(load->name, tenant), (long long)load->version,
              log_quote(text_of(bad->text), text), effect);
}

/* A contract that cannot be read must not keep the others of the shard from being loaded: its plan
 * holds without its own limits, and the log says so. */
static bool
read_spec(struct store *store, int row, struct tenant_load *load, struct err *why)
{
    const PGresult *const answer = store->loaded[ANSWER_TENANTS];
    struct err bad;

    load->home = (int32_t)pg_read_int(answer, row, 0);
    load->known = !PQgetisnull(answer, row, 1);
    load->version = pg_read_int(answer, row, 1);
    load->due_ms = pg_read_time(answer, row, 4);
    load->restricted = pg_read_bool(answer, row, 5);
    if (!load->known)
        return true;
    if (!tenant_spec_parse(pg_read_text(answer, row, 2), store->arena, &load->spec, &bad)) {
        if (bad.class != ERR_INPUT)
            return err_set(why, bad.class, "%s", bad.text);
        log_contract(load, &bad, "its plan holds, its own limits do not");
        load->spec = (struct tenant_spec){.limit_count = 0};
        if (!tenant_spec_parse(pg_read_text(answer, row, 3), store->arena, &load->spec, &bad))
            load->spec = (struct tenant_spec){.limit_count = 0};
    }
    if (load->spec.zone.at == NULL)
        return true;
    load->zone = zones_get(load->spec.zone, &bad);
    if (load->zone == NULL)
        log_contract(load, &bad, "the default zone holds");
    return true;
}

bool
store_loaded(struct store *store, struct load_cursor *cursor, struct tenant_load *load,
             struct err *why)
{
    const int64_t ord = cursor->tenant + 1;

    arena_clear(store->arena);
    *load = (struct tenant_load){
        .name = store->loading.names[cursor->tenant],
        .period_count = (size_t)rows_of(store->loaded[ANSWER_PERIODS], cursor->periods, ord),
        .plan_count = (size_t)rows_of(store->loaded[ANSWER_PLANS], cursor->plans, ord),
        .past_count = (size_t)rows_of(store->loaded[ANSWER_PAST], cursor->past, ord),
        .quota_count = (size_t)rows_of(store->loaded[ANSWER_QUOTAS], cursor->quotas, ord),
        .counter_count = (size_t)rows_of(store->loaded[ANSWER_COUNTERS], cursor->counters, ord),
        .carry_count = (size_t)rows_of(store->loaded[ANSWER_CARRIES], cursor->carries, ord),
        .throttle_count = (size_t)rows_of(store->loaded[ANSWER_THROTTLES], cursor->throttles, ord),
        .word_count = (size_t)rows_of(store->loaded[ANSWER_WORDS], cursor->words, ord),
        .has_features = store->loading.features,
        .hour_count = (size_t)rows_of(store->loaded[ANSWER_HOURS], cursor->hours, ord),
        .slot_count = (size_t)rows_of(store->loaded[ANSWER_SLOTS], cursor->slots, ord),
        .breaker_count = (size_t)rows_of(store->loaded[ANSWER_BREAKERS], cursor->breakers, ord),
        .reservation_count =
            (size_t)rows_of(store->loaded[ANSWER_RESERVATIONS], cursor->reservations, ord),
    };
    const int series = rows_of(store->loaded[ANSWER_WATCHES], cursor->watches, ord);

    if (!read_spec(store, cursor->tenant, load, why))
        return false;
    if (!read_plans(store, cursor->plans, load) || !read_periods(store, cursor->periods, load) ||
        !read_past(store, cursor->past, load) || !read_quotas(store, cursor->quotas, load) ||
        !read_words(store, cursor->words, load) ||
        !store_read_counters(store, store->loaded[ANSWER_COUNTERS], cursor->counters, load) ||
        !store_read_carries(store, store->loaded[ANSWER_CARRIES], cursor->carries, load) ||
        !store_read_throttles(store, store->loaded[ANSWER_THROTTLES], cursor->throttles, load) ||
        !store_read_hours(store, store->loaded[ANSWER_HOURS], cursor->hours, load) ||
        !store_read_slots(store, store->loaded[ANSWER_SLOTS], cursor->slots, load) ||
        !store_read_breakers(store, store->loaded[ANSWER_BREAKERS], cursor->breakers, load) ||
        !store_read_watches(store, store->loaded[ANSWER_WATCHES], cursor->watches, series, load) ||
        !store_read_reservations(store, store->loaded[ANSWER_RESERVATIONS], cursor->reservations,
                                 load))
        return err_set(why, ERR_RETRY, "no memory to load tenant %.*s", (int)load->name.size,
                       load->name.at);
    cursor->tenant++;
    cursor->periods += (int)load->period_count;
    cursor->past += (int)load->past_count;
    cursor->plans += (int)load->plan_count;
    cursor->quotas += (int)load->quota_count;
    cursor->words += (int)load->word_count;
    cursor->counters += (int)load->counter_count;
    cursor->carries += (int)load->carry_count;
    cursor->throttles += (int)load->throttle_count;
    cursor->hours += (int)load->hour_count;
    cursor->slots += (int)load->slot_count;
    cursor->breakers += (int)load->breaker_count;
    cursor->watches += series;
    cursor->reservations += (int)load->reservation_count;
    return true;
}
