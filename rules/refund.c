#include "rules/rating.h"
#include "rules/shard_state.h"

/* The event as if it named what the original was booked under. */
static void
dress(struct event *as, const struct original *original, bool all)
{
    const struct {
        enum event_name name;
        struct text text;
    } names[] = {{NAME_FEATURE, original->feature},
                 {NAME_PROVIDER, original->provider},
                 {NAME_MODEL, original->model},
                 {NAME_API_KEY_ID, original->key}};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (all || as->names[names[i].name].size == 0)
            as->names[names[i].name] = names[i].text;
}

/* The booking moves to where the original is; a period that is closed takes nothing more: then it is
 * money of the present one, in the hour of its own time. */
static void
move_to(struct booking *booking, struct tenant *tenant, const struct original *original,
        int64_t closed_ms)
{
    const struct period period = {original->period_ms, original->period_end_ms};

    booking->period_index = -1;
    booking->adjusts = period.end_ms <= closed_ms;
    if (booking->adjusts) {
        booking->amounts.estimate = 0;
        booking->service = period;
        booking->period = tenant->periods[0].period;
        tenant->periods[0].begun = true;
        return;
    }
    booking->hour_ms = original->hour_ms;
    booking->period = period;
    for (size_t i = 0; i < tenant->period_count; i++)
        if (tenant->periods[i].period.start_ms == original->period_ms)
            booking->period_index = (int32_t)i;
}

static void
set_project(struct booking *booking, const struct tenant *tenant, const struct original *original)
{
    booking->project = original->project;
    booking->own_project = false;
    booking->project_unknown = false;
    booking->project_index =
        tenant->spec.project_count == 0 ? -1 : tenant_project(tenant, original->project);
}

/* All refunds together never give back more than was paid. */
static void
limit_to_what_is_left(struct amounts *amounts, const struct original *original)
{
    const tally left = original->left_cost > 0 ? original->left_cost : 0;

    if (-amounts->cost > left) {
        amounts->cost = -left;
        amounts->count[COUNT_clamped] = 1;
    }
    amounts->charge =
        -amounts->cost == left
            ? -original->left_charge
            : tally_divide(amounts->cost * original->amounts.charge, original->amounts.cost);
    if (amounts->cost == 0)
        amounts->charge = 0;
    amounts->refunded = amounts->cost;
}

bool
refund_allowed(const struct original *original, struct dead *why)
{
    const bool spent = original->kind == EVENT_RECORD || original->kind == EVENT_SETTLE ||
                       original->kind == EVENT_CORRECT;
    const char *reason = !spent               ? "it refers to an event that costs nothing"
                         : original->replaced ? "it refers to an event that a correction replaced: "
                                                "name the correction"
                                              : NULL;

    if (reason == NULL)
        return true;
    *why = (struct dead){.reason = DEAD_original_unknown};
    (void)text_copy(why->detail, sizeof why->detail, text_of(reason));
    return false;
}

static void
prepare(struct booking *booking, int32_t topic, const struct event *as, const struct shard *shard,
        struct tenant *tenant, const struct original *original)
{
    const int64_t closed_ms = shard_closed(shard, topic);

    booking_of(booking, as, tenant, shard->policy, false, closed_ms);
    move_to(booking, tenant, original, closed_ms);
}

static enum booked
book_as(struct shard *shard, struct tenant *tenant, const struct event *as,
        const struct booking *booking)
{
    struct lookup lookup;

    lookup_of(&lookup, as);
    return book_event(shard->open, tenant, as, &lookup, booking);
}

/* Nobody knows yet what there is to give back. */
static bool
waits_itself(const struct original *original)
{
    return original->amounts.count[COUNT_unpriced] > 0 && !original->replaced;
}

void
refund_booking(struct booking *booking, int32_t topic, const struct event *as,
               const struct shard *shard, struct tenant *tenant, const struct original *original)
{
    prepare(booking, topic, as, shard, tenant, original);
    set_project(booking, tenant, original);
    booking->unpriced |= waits_itself(original);
    if (!booking->unpriced) {
        limit_to_what_is_left(&booking->amounts, original);
        return;
    }
    booking->amounts.cost = booking->amounts.charge = booking->amounts.refunded = 0;
    booking->amounts.count[COUNT_unpriced] = 1;
}

enum booked
refund_book(struct shard *shard, const struct place *place, const struct event *event,
            struct tenant *tenant, const struct original *original, struct rebooking *rebooking)
{
    struct booking *booking = &rebooking->booking;
    struct event *as = &rebooking->as;

    *as = *event;
    dress(as, original, true);
    refund_booking(booking, place->record->topic, as, shard, tenant, original);
    const enum booked booked = book_as(shard, tenant, as, booking);

    if (booked == BOOKED)
        record_known(shard, record_event(shard, place, shard->open->fact, event,
                                         as->names[NAME_API_KEY_ID], &booking->amounts));
    return booked;
}

/* ---- corrections ---------------------------------------------------------------------------------- */

/* What stands of the original, taken back: no event of its own. */
static void
reverse(struct booking *reversal, const struct original *original)
{
    struct amounts *amounts = &reversal->amounts;

    *amounts = (struct amounts){.cost = -original->left_cost,
                                .charge = -original->left_charge,
                                .refunded = original->amounts.cost - original->left_cost,
                                .estimate = reversal->adjusts ? 0 : -original->amounts.estimate};
    for (size_t i = COUNT_events + 1; i < COUNT_COUNT; i++)
        amounts->count[i] = -original->amounts.count[i];
    reversal->unpriced = false;
}

/* What a correction does not say stays as it was. */
static void
fill_in(struct event *as, const struct original *original)
{
    dress(as, original, false);
    for (size_t i = 0; i < USAGE_COUNTS; i++)
        if ((as->has & 1U << usage_counts[i].usage) == 0)
            as->usage[usage_counts[i].usage] = original->amounts.count[usage_counts[i].count];
    if ((as->flags & EVENT_HAS_COST) == 0 && !original->listed &&
        original->amounts.count[COUNT_unpriced] == 0) {
        as->flags |= EVENT_HAS_COST;
        as->cost.nano = (int64_t)original->amounts.cost;
    }
    as->attempt = original->attempt;
    as->kind = EVENT_RECORD; /* it is worth what a record is */
}

static void
replace(struct booking *replacement, const struct event *event, const struct original *original)
{
    int64_t *count = replacement->amounts.count;

    if ((event->has & 1U << USAGE_REQUESTS) == 0)
        count[COUNT_requests] = original->amounts.count[COUNT_requests];
    /* What a price list made follows the usage. */
    if ((event->flags & EVENT_HAS_COST) == 0 && !original->listed &&
        replacement->charge_version == PRICE_NONE && !replacement->unpriced)
        replacement->amounts.charge = original->amounts.charge;
}

/* The replacement has its own cost, or waits itself. */
static void
waits_no_longer(struct shard *shard, const struct event *event)
{
    struct priced_event *row = shard_must(list_add(&shard->open->settlement->priced));

    *row = (struct priced_event){.topic = -1,
                                 .tenant = shard_keep(shard, event->tenant),
                                 .source = shard_keep(shard, record_source_referred_to(event)),
                                 .id = shard_keep(shard, event->refers.id),
                                 .at_ms = shard->time_ms};
}

enum booked
correction_book(struct shard *shard, const struct place *place, const struct event *event,
                struct tenant *tenant, const struct original *original, struct rebooking *rebooking)
{
    struct booking *reversal = &rebooking->reversal;
    struct booking *replacement = &rebooking->booking;
    struct event *as = &rebooking->as;
    struct event old = *event;

    *as = *event;
    dress(&old, original, true);
    prepare(reversal, place->record->topic, &old, shard, tenant, original);
    set_project(reversal, tenant, original);
    reverse(reversal, original);
    fill_in(as, original);
    prepare(replacement, place->record->topic, as, shard, tenant, original);
    if (event->names[NAME_PROJECT].size == 0)
        set_project(replacement, tenant, original);
    replace(replacement, event, original);

    enum booked booked = book_as(shard, tenant, &old, reversal);
    const size_t fact = shard->open->fact;

    if (booked != BOOKED)
        return booked;
    booked = book_as(shard, tenant, as, replacement);
    if (booked != BOOKED) {
        const struct amounts nothing = {.cost = 0};
        struct booking back = *reversal;

        amounts_difference(&back.amounts, &nothing, &reversal->amounts);
        (void)book_as(shard, tenant, &old, &back);
        return booked;
    }
    struct settled_event *row =
        record_event(shard, place, fact, event, original->key, &reversal->amounts);

    row->reversal = true;
    record_known(shard, row);
    if (original->amounts.count[COUNT_unpriced] > 0)
        waits_no_longer(shard, event);
    row = record_event(shard, place, shard->open->fact, event, as->names[NAME_API_KEY_ID],
                       &replacement->amounts);
    row->attempt = as->attempt;
    record_priced(shard, row, tenant, replacement);
    record_known(shard, row);
    as->kind = event->kind;
    return BOOKED;
}
