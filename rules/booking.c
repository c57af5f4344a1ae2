#include "rules/booking.h"

#include "core/identity.h"
#include "rules/rating.h"

#include <stdlib.h>

bool
book_init(struct book *book, size_t topic_count, size_t memory_limit)
{
    *book = (struct book){.settlement = settlement_new(topic_count, memory_limit)};
    return book->settlement != NULL && table_init(&book->facts, 1024, TABLE_NONE - 1) &&
           table_init(&book->key_facts, 1024, TABLE_NONE - 1) &&
           table_init(&book->periods, 256, TABLE_NONE - 1) &&
           table_init(&book->adjustments, 16, TABLE_NONE - 1);
}

void
book_free(struct book *book)
{
    settlement_free(book->settlement);
    table_free(&book->facts);
    table_free(&book->key_facts);
    table_free(&book->periods);
    table_free(&book->adjustments);
}

void
book_open(struct book *book, uint64_t number, const struct progress *from)
{
    settlement_clear(book->settlement, NULL);
    for (size_t i = 0; i < book->settlement->topic_count; i++)
        book->settlement->progress[i] =
            (struct progress){.from = from[i].next,
                              .next = from[i].next,
                              .time_ms = from[i].time_ms,
                              .last_offset = from[i].last_offset,
                              .last_fingerprint = from[i].last_fingerprint};
    table_clear(&book->facts);
    table_clear(&book->key_facts);
    table_clear(&book->periods);
    table_clear(&book->adjustments);
    book->number = number;
}

/* ---- what an event is worth ------------------------------------------------------------------- */

const struct usage_count usage_counts[USAGE_COUNTS] = {
    {USAGE_INPUT_TOKENS, COUNT_input_tokens},
    {USAGE_CACHE_READ_TOKENS, COUNT_cache_read_tokens},
    {USAGE_CACHE_WRITE_TOKENS, COUNT_cache_write_tokens},
    {USAGE_OUTPUT_TOKENS, COUNT_output_tokens},
    {USAGE_REASONING_TOKENS, COUNT_reasoning_tokens},
    {USAGE_IMAGES, COUNT_images},
    {USAGE_AUDIO_MS, COUNT_audio_ms},
    {USAGE_BYTES, COUNT_bytes},
};

/* True when it has something to be priced: a failed call that used nothing has not. */
static bool
count_usage(struct booking *booking, const struct event *event, const struct policy *policy)
{
    int64_t *const count = booking->amounts.count;
    const bool failed = event->status == STATUS_FAILED;
    bool used = false;

    for (size_t i = 0; i < USAGE_COUNTS; i++) {
        count[usage_counts[i].count] = event->usage[usage_counts[i].usage];
        used |= event->usage[usage_counts[i].usage] > 0;
    }
    const bool costs = (event->flags & EVENT_HAS_COST) != 0;

    count[COUNT_attempts] = 1;
    count[COUNT_failed] = failed;
    if (event->attempt == 1 && (!failed || (costs && event->cost.nano > 0) || policy->count_failed))
        count[COUNT_requests] = event->usage[USAGE_REQUESTS];
    return !failed || used;
}

/* Nearly every event says what it cost, in the tenant's currency, and is charged just that. */
static bool
is_plain(const struct event *event, const struct tenant *tenant)
{
    const struct text given = event->names[NAME_CURRENCY];

    return (event->flags & EVENT_HAS_COST) != 0 && event->cost.nano != 0 &&
           tenant->charge.words.at == NULL && (given.size == 0 || text_eq(given, tenant->currency));
}

static void
rate(struct booking *booking, const struct event *event, const struct tenant *tenant,
     const struct policy *policy, bool used)
{
    struct amounts *amounts = &booking->amounts;
    struct rating rating;

    if (is_plain(event, tenant)) {
        amounts->cost = amounts->charge = event->cost.nano;
    } else {
        rating_of(&rating, event, tenant, policy, used);
        booking->unpriced = rating.unpriced;
        booking->price_version = rating.price_version;
        booking->charge_version = rating.charge_version;
        amounts->cost = rating.cost;
        amounts->charge = rating.charge;
        amounts->estimate = rating.estimate;
        amounts->count[COUNT_zero_cost] = rating.zero_cost;
    }
    amounts->count[COUNT_unpriced] = booking->unpriced;
    if (event->kind == EVENT_REFUND)
        amounts->refunded = amounts->cost;
}

/* A period of the past: its own while that may change, else the present one. */
static void
book_late(struct booking *booking, struct tenant *tenant, int64_t at_ms, int64_t closed_ms)
{
    booking->period = tenant_period_of(tenant, at_ms);
    if (booking->period.end_ms > closed_ms) {
        tenant_remember(tenant, booking->period);
        return;
    }
    booking->adjusts = true;
    booking->amounts.estimate = 0; /* it is in none of the limits */
    booking->service = booking->period;
    booking->period = tenant->periods[0].period;
    tenant->periods[0].begun = true;
}

/* In steps that are a few wide stores each: as one, it would be an instruction that takes longer to
 * begin than this takes. */
static void
clear_booking(struct booking *booking)
{
    enum { STEP = 64, STEPS = sizeof *booking / STEP };

    for (size_t i = 0; i < STEPS; i++)
        memset((char *)booking + i * STEP, 0, STEP);
    memset((char *)booking + (size_t)STEPS * STEP, 0, sizeof *booking - (size_t)STEPS * STEP);
}

void
booking_of(struct booking *booking, const struct event *event, struct tenant *tenant,
           const struct policy *policy, bool unverified, int64_t closed_ms)
{
    const struct text project = event->names[NAME_PROJECT];
    const bool spends = event->kind == EVENT_RECORD || event->kind == EVENT_SETTLE;

    clear_booking(booking);
    booking->project = project;
    booking->project_index = -1;
    booking->price_version = PRICE_NONE;
    booking->charge_version = PRICE_NONE;
    int64_t *const count = booking->amounts.count;

    count[COUNT_events] = 1;
    count[COUNT_estimated] = (event->flags & EVENT_ESTIMATED) != 0;
    count[COUNT_clamped] = (event->flags & EVENT_CLAMPED) != 0;
    count[COUNT_unverified] = unverified;
    if (spends || event->kind == EVENT_REFUND)
        rate(booking, event, tenant, policy, spends && count_usage(booking, event, policy));

    if (tenant->spec.project_count > 0 && project.size > 0) {
        booking->project_index = tenant_project(tenant, project);
        booking->project_unknown = booking->project_index < 0;
    }
    booking->own_project = project.size > 0 && !booking->project_unknown;
    if (!booking->own_project)
        booking->project = TEXT("unassigned");
    booking->period_index = tenant_period_at(tenant, event->at_ms);
    if (booking->period_index >= 0)
        booking->period = tenant->periods[booking->period_index].period;
    else
        book_late(booking, tenant, event->at_ms, closed_ms);
    if (event->at_ms < tenant->hour.start_ms || event->at_ms >= tenant->hour.end_ms)
        tenant->hour = cycle_hour(tenant->zone, event->at_ms);
    booking->hour_ms = tenant->hour.start_ms;
}

/* ---- rows --------------------------------------------------------------------------------------- */

/* What a row is named by: its tenant's name, which the rows of a settlement share, and the rest in one
 * piece; absent texts are stored as ''. */
static bool
keep_names(struct book *book, struct tenant *tenant, struct text *name, struct text *const *texts,
           size_t count)
{
    struct arena *arena = book->settlement->arena;
    size_t size = 1;

    if (tenant->row.name_of != book->number) {
        tenant->row.name = arena_text(arena, tenant->name);
        tenant->row.name_of = book->number;
    }
    *name = tenant->row.name;
    for (size_t i = 0; i < count; i++)
        size += texts[i]->size;
    char *at = arena_take(arena, size);

    for (size_t i = 0; at != NULL && i < count; i++) {
        if (texts[i]->size > 0)
            memcpy(at, texts[i]->at, texts[i]->size);
        texts[i]->at = at;
        at += texts[i]->size;
    }
    return at != NULL && name->at != NULL;
}

static struct key128
row_key(struct tenant *tenant, const struct booking *booking)
{
    const int64_t numbers[] = {booking->hour_ms, booking->period.start_ms};

    if (tenant->row.hour_ms != numbers[0] || tenant->row.period_ms != numbers[1]) {
        tenant->row.hour_ms = numbers[0];
        tenant->row.period_ms = numbers[1];
        tenant->row.key = identity_numbers(tenant->id, numbers, 2);
    }
    return tenant->row.key;
}

static struct key128
fact_key(struct key128 row, struct key128 project, const struct lookup *lookup)
{
    return identity_join(identity_join(row, project), lookup->served);
}

static void
ask_for(const void *memory, size_t size)
{
    for (size_t i = 0; i < size; i += 64)
        __builtin_prefetch((const char *)memory + i, 1);
    __builtin_prefetch((const char *)memory + size - 1, 1);
}

void
book_foresee_tenant(const struct tenant *tenant)
{
    ask_for(tenant, offsetof(struct tenant, memory));
    __builtin_prefetch(&tenant->spec.project_count);
}

void
book_foresee_places(const struct book *book, const struct tenant *tenant,
                    const struct lookup *lookup)
{
    table_prefetch(&book->facts, fact_key(tenant->row.key, lookup->project, lookup));
    table_prefetch(&book->key_facts, identity_join(tenant->row.key, lookup->key));
    ask_for(tenant->periods[0].totals, sizeof *tenant->periods[0].totals);
}

void
book_foresee_rows(const struct book *book, const struct tenant *tenant, const struct lookup *lookup)
{
    const struct settlement *settlement = book->settlement;
    const uint32_t fact =
        table_find(&book->facts, fact_key(tenant->row.key, lookup->project, lookup));
    const uint32_t key = table_find(&book->key_facts, identity_join(tenant->row.key, lookup->key));

    if (fact != TABLE_NONE)
        ask_for(&((struct fact *)list_at(&settlement->facts, fact))->delta, sizeof(struct delta));
    if (key != TABLE_NONE)
        ask_for(&((struct key_fact *)list_at(&settlement->key_facts, key))->delta,
                sizeof(struct delta));
}

/* What an event adds to: a row of facts, or a sum; neither: memory is short. */
struct target {
    struct delta *delta;
    struct amounts *sum;
};

/* Asks for the memory of a row to come, too: rows are written one after the other. */
static void *
add_row(struct list *rows)
{
    enum { AHEAD = 3 };
    void *row = list_add(rows);

    if (rows->count + AHEAD < rows->room)
        ask_for(list_at(rows, rows->count + AHEAD), rows->size);
    return row;
}

static struct target
fact_row(struct book *book, struct tenant *tenant, const struct event *event, struct key128 key,
         const struct booking *booking)
{
    struct list *facts = &book->settlement->facts;
    const uint32_t found = table_find(&book->facts, key);

    book->fact = found;
    if (found != TABLE_NONE)
        return (struct target){.delta = &((struct fact *)list_at(facts, found))->delta};
    book->fact = facts->count;
    struct fact *fact = add_row(facts);

    if (fact == NULL)
        return (struct target){.delta = NULL};
    fact->project = booking->project;
    fact->feature = event->names[NAME_FEATURE];
    fact->provider = event->names[NAME_PROVIDER];
    fact->model = event->names[NAME_MODEL];
    fact->hour_ms = booking->hour_ms;
    fact->period_ms = booking->period.start_ms;
    struct text *const texts[] = {&fact->project, &fact->feature, &fact->provider, &fact->model};

    if (!keep_names(book, tenant, &fact->tenant, texts, 4) ||
        !table_put(&book->facts, key, (uint32_t)(facts->count - 1))) {
        facts->count--;
        return (struct target){.delta = NULL};
    }
    return (struct target){.delta = &fact->delta};
}

static struct target
key_row(struct book *book, struct tenant *tenant, const struct event *event, struct key128 key,
        const struct booking *booking)
{
    struct list *facts = &book->settlement->key_facts;
    const uint32_t found = table_find(&book->key_facts, key);

    if (found != TABLE_NONE)
        return (struct target){.delta = &((struct key_fact *)list_at(facts, found))->delta};
    struct key_fact *fact = add_row(facts);

    if (fact == NULL)
        return (struct target){.delta = NULL};
    fact->key = event->names[NAME_API_KEY_ID];
    fact->hour_ms = booking->hour_ms;
    fact->period_ms = booking->period.start_ms;
    struct text *const texts[] = {&fact->key};

    if (!keep_names(book, tenant, &fact->tenant, texts, 1) ||
        !table_put(&book->key_facts, key, (uint32_t)(facts->count - 1))) {
        facts->count--;
        return (struct target){.delta = NULL};
    }
    return (struct target){.delta = &fact->delta};
}

/* The row of a period's total, made when it is not there; TABLE_NONE: memory is short. */
static uint32_t
period_row(struct book *book, struct tenant *tenant, const struct booking *booking,
           struct text project)
{
    struct list *periods = &book->settlement->periods;
    const struct key128 key =
        identity_texts(identity_numbers(tenant->id, &booking->period.start_ms, 1), &project, 1);
    const uint32_t found = table_find(&book->periods, key);

    if (found != TABLE_NONE)
        return found;
    struct period_total *row = list_add(periods);

    if (row == NULL)
        return TABLE_NONE;
    *row = (struct period_total){
        .project = project, .start_ms = booking->period.start_ms, .end_ms = booking->period.end_ms};
    struct text *const texts[] = {&row->project};

    if (!keep_names(book, tenant, &row->tenant, texts, 1) ||
        !table_put(&book->periods, key, (uint32_t)(periods->count - 1))) {
        periods->count--;
        return TABLE_NONE;
    }
    return (uint32_t)(periods->count - 1);
}

static struct period_total *
row_at(const struct book *book, uint32_t row)
{
    return list_at(&book->settlement->periods, row);
}

/* A total that is held is added to alone: what its row gets is the difference to what it was when it
 * first needed one. */
static bool
hold_row(struct book *book, struct tenant *tenant, struct totals *held,
         const struct booking *booking, struct text project)
{
    if (held->row_of == book->number)
        return true;
    const uint32_t row = period_row(book, tenant, booking, project);

    if (row == TABLE_NONE)
        return false;
    held->row_of = book->number;
    held->row = row;
    row_at(book, row)->expected = held->sum;
    return true;
}

void
book_complete(struct book *book, struct totals *held)
{
    struct amounts booked;

    if (held->row_of != book->number)
        return;
    struct period_total *row = row_at(book, held->row);

    amounts_difference(&booked, &held->sum, &row->expected);
    if (!amounts_add(&row->delta, &booked))
        abort();
    held->row_of = 0;
}

void
book_complete_all(struct book *book, struct tenant *tenant)
{
    for (size_t i = 0; i < tenant->period_count; i++)
        for (size_t p = 0; p <= tenant->spec.project_count; p++)
            book_complete(book, &tenant->periods[i].totals[p]);
}

static struct amounts *
adjustment_row(struct book *book, struct tenant *tenant, const struct booking *booking,
               struct text project)
{
    struct list *adjustments = &book->settlement->adjustments;
    const int64_t numbers[] = {booking->period.start_ms, booking->service.start_ms};
    const struct key128 key = identity_texts(identity_numbers(tenant->id, numbers, 2), &project, 1);
    const uint32_t found = table_find(&book->adjustments, key);

    if (found != TABLE_NONE)
        return &((struct adjustment *)list_at(adjustments, found))->delta;
    struct adjustment *row = list_add(adjustments);

    if (row == NULL)
        return NULL;
    *row = (struct adjustment){.project = project,
                               .period_ms = booking->period.start_ms,
                               .service = {booking->service.start_ms, booking->service.end_ms}};
    struct text *const texts[] = {&row->project};

    if (!keep_names(book, tenant, &row->tenant, texts, 1) ||
        !table_put(&book->adjustments, key, (uint32_t)(adjustments->count - 1))) {
        adjustments->count--;
        return NULL;
    }
    return &row->delta;
}

/* What an event adds to: a total that is held, else the row of its period's total or of the
 * adjustments, for which the period's own row need only be there. */
static struct amounts *
total_of(struct book *book, struct tenant *tenant, struct totals *held,
         const struct booking *booking, struct text project)
{
    if (held != NULL)
        return hold_row(book, tenant, held, booking, project) ? &held->sum : NULL;
    const uint32_t row = period_row(book, tenant, booking, project);

    if (row == TABLE_NONE)
        return NULL;
    return booking->adjusts ? adjustment_row(book, tenant, booking, project)
                            : &row_at(book, row)->delta;
}

enum { TARGETS = 4 };

static enum booked
add_to(struct book *book, const struct target *target, const struct amounts *amounts, bool fits)
{
    static const enum booked booked[] = {[DELTA_ADDED] = BOOKED,
                                         [DELTA_OVERFLOW] = BOOKED_OVERFLOW,
                                         [DELTA_NO_MEMORY] = BOOKED_NO_MEMORY};

    if (target->delta != NULL)
        return booked[delta_add(target->delta, &book->settlement->wide, amounts, fits)];
    return amounts_add(target->sum, amounts) ? BOOKED : BOOKED_OVERFLOW;
}

static void
take_back(struct book *book, const struct target *targets, size_t count,
          const struct amounts *amounts, bool fits)
{
    const struct amounts nothing = {.cost = 0};
    struct amounts negative;

    amounts_difference(&negative, &nothing, amounts);
    for (size_t i = 0; i < count; i++)
        (void)add_to(book, &targets[i], &negative, fits);
}

enum booked
book_event(struct book *book, struct tenant *tenant, const struct event *event,
           const struct lookup *lookup, const struct booking *booking)
{
    const struct key128 row = row_key(tenant, booking);
    const struct key128 own =
        booking->own_project ? lookup->project : identity_one(booking->project);
    struct totals *held = booking->period_index < 0 || tenant->split
                              ? NULL
                              : tenant->periods[booking->period_index].totals;
    const int32_t project = booking->project_index;
    struct target targets[TARGETS];
    size_t count = 0;

    /* The rows of a list may move while others are added: rows of different lists do not, and the
     * tenant's total is asked for when the project's row is there. */
    targets[count++] = fact_row(book, tenant, event, fact_key(row, own, lookup), booking);
    if (event->names[NAME_API_KEY_ID].size > 0)
        targets[count++] = key_row(book, tenant, event, identity_join(row, lookup->key), booking);
    if (project >= 0 && total_of(book, tenant, held == NULL ? NULL : &held[project + 1], booking,
                                 booking->project) == NULL)
        return BOOKED_NO_MEMORY;
    targets[count++] = (struct target){.sum = total_of(book, tenant, held, booking, TEXT(""))};
    if (project >= 0)
        targets[count++] =
            (struct target){.sum = total_of(book, tenant, held == NULL ? NULL : &held[project + 1],
                                            booking, booking->project)};
    for (size_t i = 0; i < count; i++)
        if (targets[i].delta == NULL && targets[i].sum == NULL)
            return BOOKED_NO_MEMORY;
    const bool fits = delta_fits(&booking->amounts);

    for (size_t i = 0; i < count; i++) {
        const enum booked booked = add_to(book, &targets[i], &booking->amounts, fits);

        if (booked != BOOKED) {
            take_back(book, targets, i, &booking->amounts, fits);
            return booked;
        }
    }
    tenant->touched = book->number;
    return BOOKED;
}
