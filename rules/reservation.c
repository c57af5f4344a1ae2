#include "rules/reservation.h"

#include "core/identity.h"
#include "rules/anomaly.h"

#include <stdlib.h>

/* ---- held -------------------------------------------------------------------------------------------- */

static struct key128
key_of(const struct reservation *one)
{
    return identity_one(text_of(one->id));
}

static struct reservation *
add_open(struct reservations *reservations, const struct reservation *one)
{
    struct reservation *place = shard_must(list_add(&reservations->open));

    *place = *one;
    if (!table_put(&reservations->index, key_of(one), (uint32_t)(reservations->open.count - 1)))
        abort();
    reservations->late += one->state == RESERVATION_LATE;
    return place;
}

static struct reservation *
find_open(const struct reservations *reservations, struct text id)
{
    const uint32_t place = table_find(&reservations->index, identity_one(id));

    return place == TABLE_NONE ? NULL : list_at(&reservations->open, place);
}

/* The last one takes its place. */
static void
remove_open(struct reservations *reservations, struct reservation *one)
{
    struct list *open = &reservations->open;
    const struct reservation *last = list_at(open, open->count - 1);
    const uint32_t place = table_find(&reservations->index, key_of(one));

    reservations->late -= one->state == RESERVATION_LATE;
    table_remove(&reservations->index, key_of(one));
    if (one != last) {
        *one = *last;
        (void)shard_must(table_put(&reservations->index, key_of(one), place) ? one : NULL);
    }
    open->count--;
}

static struct reservation *
find_early(const struct reservations *reservations, struct text id)
{
    for (size_t i = 0; i < reservations->early.count; i++) {
        struct reservation *one = list_at(&reservations->early, i);

        if (text_eq(text_of(one->id), id))
            return one;
    }
    return NULL;
}

static void
remove_early(struct reservations *reservations, struct reservation *one)
{
    struct list *early = &reservations->early;
    const struct reservation *end = list_at(early, early->count);

    memmove(one, one + 1, (size_t)((const char *)end - (const char *)(one + 1)));
    early->count--;
}

static void
wake_by(struct reservations *reservations, int64_t at_ms)
{
    if (at_ms < reservations->next_ms)
        reservations->next_ms = at_ms;
}

/* ---- loaded ------------------------------------------------------------------------------------------- */

static struct reservations *
reservations_new(void)
{
    struct reservations *reservations = shard_must(calloc(1, sizeof *reservations));

    list_init(&reservations->open, sizeof(struct reservation), RESERVATION_LIMIT);
    list_init(&reservations->early, sizeof(struct reservation), EARLY_LIMIT);
    (void)shard_must(table_init(&reservations->index, 8, RESERVATION_LIMIT) ? reservations : NULL);
    reservations->next_ms = INT64_MAX;
    return reservations;
}

struct reservations *
reservations_recall(const struct tenant_load *load)
{
    if (load->reservation_count == 0)
        return NULL;
    struct reservations *reservations = reservations_new();

    for (size_t i = 0; i < load->reservation_count; i++) {
        const struct reservation_memory *row = &load->reservations[i];
        struct reservation one = {.state = row->state,
                                  .made_ms = row->made_ms,
                                  .due_ms = row->due_ms,
                                  .has_cost = row->has_cost,
                                  .cost = row->cost};

        (void)text_copy(one.id, sizeof one.id, row->id);
        (void)text_copy(one.feature, sizeof one.feature, row->feature);
        (void)text_copy(one.currency, sizeof one.currency, row->currency);
        if (one.state == RESERVATION_EARLY)
            *(struct reservation *)shard_must(list_add(&reservations->early)) = one;
        else
            (void)add_open(reservations, &one);
        wake_by(reservations, one.due_ms);
    }
    return reservations;
}

void
reservations_free(struct reservations *reservations)
{
    if (reservations == NULL)
        return;
    list_free(&reservations->open);
    list_free(&reservations->early);
    table_free(&reservations->index);
    free(reservations);
}

/* ---- rows and alerts ---------------------------------------------------------------------------------- */

static void
write(struct shard *shard, struct tenant *tenant, const struct reservation *one,
      enum reservation_state state)
{
    struct reservation_memory *row = shard_must(list_add(&shard->open->settlement->reservations));

    *row = (struct reservation_memory){.tenant = shard_keep(shard, tenant->name),
                                       .id = shard_keep(shard, text_of(one->id)),
                                       .feature = shard_keep(shard, text_of(one->feature)),
                                       .currency = shard_keep(shard, text_of(one->currency)),
                                       .state = state,
                                       .made_ms = one->made_ms,
                                       .due_ms = one->due_ms,
                                       .at_ms = shard->time_ms,
                                       .has_cost = one->has_cost,
                                       .cost = one->cost};
    tenant->touched = shard->open->number;
}

static void
tell(struct shard *shard, const struct tenant *tenant, const struct transition *what)
{
    struct transition transition = *what;

    transition.rule = TEXT("anomaly/reservations");
    transition.severity = SEVERITY_WARNING;
    transition.zone = text_of(zone_name(tenant->zone));
    transition.labels[LABEL_TENANT] = tenant->name;
    shard_transition(shard, &transition);
}

static void
tell_late(struct shard *shard, const struct tenant *tenant, const struct reservation *one)
{
    char summary[RESERVATION_TEXT_SIZE];

    tell(shard, tenant,
         &(struct transition){.move = MOVE_FIRE,
                              .at_ms = one->due_ms,
                              .summary = text_of(reservation_tell(one, summary))});
}

static void
tell_over(struct shard *shard, const struct tenant *tenant, int64_t at_ms, enum resolved reason)
{
    tell(shard, tenant,
         &(struct transition){.move = MOVE_RESOLVE,
                              .at_ms = at_ms,
                              .reason = reason,
                              .summary =
                                  TEXT("no reservation is waited for beyond twice its time")});
}

/* ---- what comes ---------------------------------------------------------------------------------------- */

/* Open or late no more, at that moment. */
static void
close_one(struct shard *shard, struct tenant *tenant, struct reservation *one,
          enum reservation_state how, int64_t at_ms)
{
    struct reservations *reservations = tenant->features->anomalies->reservations;
    const bool was_late = one->state == RESERVATION_LATE;

    write(shard, tenant, one, was_late ? how : RESERVATION_GONE);
    remove_open(reservations, one);
    if (was_late && reservations->late == 0)
        tell_over(shard, tenant, at_ms, RESOLVED_CLEARED);
}

/* Read again under the same name it begins anew. */
static void
reserve(struct shard *shard, struct tenant *tenant, const struct event *event)
{
    struct reservations *reservations = tenant->features->anomalies->reservations;
    const int64_t own_ms = event->reservation.expires_ms - event->at_ms;
    const int64_t hold_ms = event->reservation.expires_ms >= 0 && own_ms > 0
                                ? own_ms
                                : shard->policy->anomaly.reservations_ms;
    const struct text currency = event->names[NAME_CURRENCY];
    struct reservation *before = find_early(reservations, event->reservation.id);
    struct reservation one = {.state = RESERVATION_OPEN,
                              .made_ms = shard->time_ms,
                              .due_ms = shard->time_ms + 2 * hold_ms,
                              .has_cost = (event->flags & EVENT_HAS_COST) != 0,
                              .cost = event->cost};

    if (before != NULL) {
        write(shard, tenant, before, RESERVATION_GONE);
        remove_early(reservations, before);
        return;
    }
    (void)text_copy(one.id, sizeof one.id, event->reservation.id);
    (void)text_copy(one.feature, sizeof one.feature, event->names[NAME_FEATURE]);
    (void)text_copy(one.currency, sizeof one.currency,
                    currency.size > 0 ? currency : tenant->currency);
    before = find_open(reservations, event->reservation.id);
    if (before != NULL)
        close_one(shard, tenant, before, RESERVATION_SETTLED, shard->time_ms);
    if (reservations->open.count == RESERVATION_LIMIT) {
        metric_add(shard->setup.metrics, METRIC_RESERVATIONS_MISSED, 1);
        return;
    }
    write(shard, tenant, add_open(reservations, &one), one.state);
    wake_by(reservations, one.due_ms);
}

/* It was settled or released before it was made. */
static void
remember_early(struct shard *shard, struct tenant *tenant, struct text id)
{
    struct reservations *reservations = tenant->features->anomalies->reservations;
    struct reservation *one = find_early(reservations, id);

    if (one != NULL)
        return;
    if (reservations->early.count == EARLY_LIMIT) {
        one = list_at(&reservations->early, 0);
        write(shard, tenant, one, RESERVATION_GONE);
        remove_early(reservations, one);
    }
    one = shard_must(list_add(&reservations->early));
    one->state = RESERVATION_EARLY;
    one->made_ms = shard->time_ms;
    one->due_ms = shard->time_ms + 2 * shard->policy->anomaly.reservations_ms;
    (void)text_copy(one->id, sizeof one->id, id);
    write(shard, tenant, one, one->state);
    wake_by(reservations, one->due_ms);
}

void
reservations_event(struct shard *shard, struct tenant *tenant, const struct event *event)
{
    const bool closes = event->kind == EVENT_RELEASE ||
                        (event->kind == EVENT_SETTLE && (event->flags & EVENT_FINAL) != 0);

    if (tenant->split || tenant->features->anomalies == NULL ||
        (!closes && event->kind != EVENT_RESERVE))
        return;
    anomaly_look(shard, tenant);
    if (tenant->features->anomalies->reservations == NULL)
        tenant->features->anomalies->reservations = reservations_new();
    const struct reservations *reservations = tenant->features->anomalies->reservations;
    struct reservation *one = find_open(reservations, event->reservation.id);
    const size_t late = reservations->late;

    if (event->kind == EVENT_RESERVE)
        reserve(shard, tenant, event);
    else if (one == NULL)
        remember_early(shard, tenant, event->reservation.id);
    else
        close_one(shard, tenant, one,
                  event->kind == EVENT_RELEASE ? RESERVATION_RELEASED : RESERVATION_SETTLED,
                  shard->time_ms);
    if (reservations->next_ms < tenant->due_ms || reservations->late != late)
        judge_due(shard, tenant);
}

/* ---- what is due ---------------------------------------------------------------------------------------- */

static bool
before(const struct reservation *a, const struct reservation *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : strcmp(a->id, b->id) < 0;
}

/* In the order of their deadlines, whenever they are looked at. */
static struct reservation *
first_of(const struct list *list)
{
    struct reservation *first = NULL;

    for (size_t i = 0; i < list->count; i++) {
        struct reservation *one = list_at(list, i);

        if (first == NULL || before(one, first))
            first = one;
    }
    return first;
}

static void
pass(struct shard *shard, struct tenant *tenant, struct reservation *one)
{
    struct reservations *reservations = tenant->features->anomalies->reservations;

    if (one->state == RESERVATION_LATE) {
        close_one(shard, tenant, one, RESERVATION_GIVEN_UP, one->due_ms);
        return;
    }
    if (reservations->late == 0)
        tell_late(shard, tenant, one);
    one->state = RESERVATION_LATE;
    one->due_ms += RESERVATION_GIVE_UP_MS;
    reservations->late++;
    write(shard, tenant, one, one->state);
}

void
reservations_turn(struct shard *shard, struct tenant *tenant)
{
    struct reservations *reservations = tenant->features->anomalies->reservations;
    struct reservation *one;

    if (reservations == NULL || shard->time_ms < reservations->next_ms)
        return;
    while ((one = first_of(&reservations->early)) != NULL && one->due_ms <= shard->time_ms) {
        write(shard, tenant, one, RESERVATION_GONE);
        remove_early(reservations, one);
    }
    reservations->next_ms = one == NULL ? INT64_MAX : one->due_ms;
    while ((one = first_of(&reservations->open)) != NULL && one->due_ms <= shard->time_ms)
        pass(shard, tenant, one);
    if (one != NULL)
        wake_by(reservations, one->due_ms);
}

void
reservations_end(struct shard *shard, struct tenant *tenant)
{
    struct reservations *reservations = tenant->features->anomalies->reservations;

    if (reservations == NULL)
        return;
    for (size_t i = 0; i < reservations->open.count; i++)
        write(shard, tenant, list_at(&reservations->open, i), RESERVATION_GONE);
    for (size_t i = 0; i < reservations->early.count; i++)
        write(shard, tenant, list_at(&reservations->early, i), RESERVATION_GONE);
    if (reservations->late > 0)
        tell_over(shard, tenant, shard->time_ms, RESOLVED_RULE_REMOVED);
}
