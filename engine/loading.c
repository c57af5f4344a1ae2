#include "engine/worker_state.h"

#include "config/log.h"
#include "config/now.h"
#include "config/zones.h"
#include "core/identity.h"
#include "core/partitioner.h"

#include <stdlib.h>

#define LOAD_LIMIT 1000 /* names in one query */
#define SEEK_LIMIT 5000 /* events looked up in one query */

static bool
healthy(struct worker *worker)
{
    if (worker->loader != NULL && store_broken(worker->loader)) {
        store_close(worker->loader);
        worker->loader = NULL;
        worker->loading_shard = -1;
        worker->seeking = 0;
    }
    if (worker->loader == NULL)
        worker->loader = settler_loader(worker->settler);
    return worker->loader != NULL;
}

static bool
add_name(struct worker *worker, struct table *known, struct text name)
{
    const struct key128 id = identity_one(name);

    if (worker->loading.count == LOAD_LIMIT)
        return false;
    if (table_find(known, id) != TABLE_NONE)
        return true;
    struct text *one = list_add(&worker->loading);

    if (one == NULL || !table_put(known, id, 0))
        abort();
    *one = arena_text(worker->loading_memory, name);
    if (one->at == NULL)
        abort();
    return true;
}

static void
collect_due(struct worker *worker, struct table *known, const struct held *held)
{
    for (size_t i = held->due_loaded; i < held->due_count; i++)
        if (!add_name(worker, known, held->due[i]))
            break;
}

static void
collect_events(struct worker *worker, struct table *known, const struct held *held)
{
    for (size_t i = 0; i < worker->ahead.count; i++) {
        const struct ahead *ahead = list_at(&worker->ahead, i);

        if (ahead->shard == held->number)
            (void)add_name(worker, known, ahead->tenant);
    }
    for (size_t i = 0; i < worker->parked.count; i++) {
        const struct parked *parked = list_at(&worker->parked, i);

        if (parked->shard == held->number && !shard_knows(held->shard, parked->tenant) &&
            !add_name(worker, known, parked->tenant))
            break;
    }
}

static void
collect_errands(struct worker *worker, struct table *known, const struct held *held)
{
    for (size_t i = 0; i < worker->errands.count; i++) {
        const struct errand *errand = list_at(&worker->errands, i);

        if (errand->shard == held->number || errand->shard == -1)
            (void)add_name(worker, known, errand->tenant);
    }
}

/* Whether anything of the shard can wait for a load: asked every turn, so it must cost nothing. */
static bool
may_need(const struct worker *worker, const struct held *held)
{
    if (held->state == HELD_LOADING)
        return held->due_loaded < held->due_count;
    return held->parked > 0 || worker->ahead.count > 0 || worker->errands.count > 0;
}

/* Names one shard needs now, each once. Only what it must know before it runs, until it runs: what
 * errands need would never end. Errands do not mix with events, for only events give a tenant its
 * home; *events says which it is. */
static void
collect(struct worker *worker, struct held *held, bool *events)
{
    struct table known;

    arena_clear(worker->loading_memory);
    list_clear(&worker->loading);
    *events = false;
    if (!may_need(worker, held))
        return;
    if (!table_init(&known, LOAD_LIMIT, (size_t)LOAD_LIMIT * 2))
        abort();
    if (held->state == HELD_LOADING) {
        collect_due(worker, &known, held);
    } else {
        collect_events(worker, &known, held);
        *events = worker->loading.count > 0;
        if (!*events)
            collect_errands(worker, &known, held);
    }
    table_free(&known);
}

/* Asks the record for what events of this shard wait for. */
static bool
send_seek(struct worker *worker, struct held *held)
{
    const struct sought *sought;
    const size_t all = shard_sought(held->shard, &sought);
    const size_t count = all < SEEK_LIMIT ? all : SEEK_LIMIT;
    struct err why;

    if (count == 0)
        return false;
    if (!store_seek_send(worker->loader, sought, count, &why)) {
        log_warning("seek", "text=\"%s\"", why.text);
        return false;
    }
    shard_asked(held->shard);
    worker->seeking = count;
    worker->loading_shard = held->number;
    worker->loading_epoch = shard_epoch(held->shard);
    return true;
}

static bool
send_load(struct worker *worker)
{
    for (size_t i = 0; i < worker->held_count; i++) {
        struct held *held = &worker->held[i];
        struct err why;
        bool events = false;

        if (held->state != HELD_RUNNING && held->state != HELD_LOADING)
            continue;
        if (held->state == HELD_RUNNING && send_seek(worker, held))
            return true;
        collect(worker, held, &events);
        if (worker->loading.count == 0) {
            if (held->state == HELD_LOADING)
                claims_run(worker, held);
            continue;
        }
        if (!store_load_send(worker->loader,
                             &(struct load_query){.shard = held->number,
                                                  .claim_home = events,
                                                  .after_ms = shard_time(held->shard),
                                                  .features = shard_has_breakers(held->shard),
                                                  .names = worker->loading.at,
                                                  .count = worker->loading.count},
                             &why)) {
            log_warning("load", "text=\"%s\"", why.text);
            return false;
        }
        worker->loading_shard = held->number;
        worker->loading_epoch = shard_epoch(held->shard);
        return true;
    }
    return false;
}

static bool
is_running(const struct held *held)
{
    return held != NULL && (held->state == HELD_RUNNING || held->state == HELD_LOADING);
}

/* The shard that a load was sent for, if it is still held in the same claim: what was read before
 * another one may be old. */
static struct held *
loading_held(struct worker *worker)
{
    struct held *held = worker_held(worker, worker->loading_shard);

    return is_running(held) && shard_epoch(held->shard) == worker->loading_epoch ? held : NULL;
}

/* Errands to a tenant's home, wherever that is, find out here. */
static void
send_home(struct worker *worker, const struct tenant_load *load)
{
    const int32_t home = load->home >= 0
                             ? load->home
                             : partitioner_partition(load->name, atomic_load(&worker->partitions));
    size_t kept = 0;

    for (size_t i = 0; i < worker->errands.count; i++) {
        struct errand *errand = list_at(&worker->errands, i);

        if (errand->shard == -1 && text_eq(errand->tenant, load->name)) {
            errand->shard = home;
            if (!is_running(worker_held(worker, home))) {
                errand_free(errand);
                continue;
            }
        }
        *(struct errand *)list_at(&worker->errands, kept++) = *errand;
    }
    worker->errands.count = kept;
}

static void
on_tenant(void *opaque, const struct tenant_load *load)
{
    struct worker *worker = opaque;
    struct held *held = loading_held(worker);
    struct tenant_load own = *load;
    struct err why;

    if (held == NULL)
        return;
    if (own.zone == NULL)
        own.zone = zones_get(shard_default_zone(held->shard), &why);
    if (own.zone == NULL)
        own.zone = zone_utc();
    send_home(worker, load);
    if (shard_knows(held->shard, own.name))
        shard_contract(held->shard, &own);
    else if (!shard_load(held->shard, &own))
        abort();
}

static void
on_original(void *opaque, size_t index, const struct original *original)
{
    struct held *held = loading_held(opaque);

    if (held != NULL)
        shard_found(held->shard, index, original);
}

static void
run_errands(struct worker *worker, struct held *held)
{
    const size_t count = worker->errands.count;
    size_t kept = 0;

    /* One that must wait for the record adds itself anew, behind those of now. */
    for (size_t i = 0; i < count; i++) {
        struct errand errand = *(struct errand *)list_at(&worker->errands, i);

        if (errand.shard != held->number || !shard_knows(held->shard, errand.tenant)) {
            *(struct errand *)list_at(&worker->errands, kept++) = errand;
            continue;
        }
        orders_errand(worker, held, &errand);
    }
    for (size_t i = count; i < worker->errands.count; i++)
        *(struct errand *)list_at(&worker->errands, kept++) =
            *(struct errand *)list_at(&worker->errands, i);
    worker->errands.count = kept;
}

/* What is parked goes on in its order; what still has no tenant stays, and what is behind one that
 * waits for the record. */
static void
run_parked(struct worker *worker, struct held *held)
{
    bool waits = false;
    size_t kept = 0;

    for (size_t i = 0; i < worker->parked.count; i++) {
        struct parked *parked = list_at(&worker->parked, i);

        if (parked->shard != held->number || waits || !shard_knows(held->shard, parked->tenant)) {
            *(struct parked *)list_at(&worker->parked, kept++) = *parked;
            continue;
        }
        held->parked--;
        waits = !apply_parked(worker, held, parked);
        if (waits) {
            held->parked++;
            *(struct parked *)list_at(&worker->parked, kept++) = *parked;
        }
    }
    worker->parked.count = kept;
    if (kept == 0)
        arena_clear(worker->parking);
    metric_set_to(worker->setup.metrics, METRIC_PARKED, (int64_t)kept);
}

static void
forget_ahead(struct worker *worker, const struct held *held)
{
    size_t kept = 0;

    for (size_t i = 0; i < worker->ahead.count; i++) {
        const struct ahead *ahead = list_at(&worker->ahead, i);

        if (ahead->shard != held->number || !shard_knows(held->shard, ahead->tenant))
            *(struct ahead *)list_at(&worker->ahead, kept++) = *ahead;
    }
    worker->ahead.count = kept;
}

static void
note_ahead(struct worker *worker, const struct arrival *arrival)
{
    const struct record *record = &arrival->record;
    const struct held *held =
        arrival->taken != TAKEN_RECORD ? NULL : worker_held(worker, record->partition);

    if (held == NULL || held->state != HELD_RUNNING || record->key.size == 0 ||
        record->key.size > EVENT_ID_LIMIT || shard_knows(held->shard, record->key) ||
        record->offset < shard_next_offset(held->shard, record->topic))
        return;
    struct ahead *ahead = list_add(&worker->ahead);

    if (ahead != NULL)
        *ahead = (struct ahead){.shard = held->number, .tenant = record->key};
}

void
loading_ahead(struct worker *worker, const struct arrival *arrivals, size_t count, int timeout_ms)
{
    const int64_t until_ms = now_steady_ms() + timeout_ms;

    for (size_t i = 0; i < count; i++)
        note_ahead(worker, &arrivals[i]);
    while (worker->ahead.count > 0) {
        const int64_t left_ms = until_ms - now_steady_ms();

        if (!loading_turn(worker, left_ms > 0 ? (int)left_ms : 0) && worker->loading_shard < 0)
            break;
        if (left_ms <= 0)
            break;
    }
    list_clear(&worker->ahead);
}

static void
answered(struct worker *worker)
{
    struct held *held = loading_held(worker);

    const size_t sought = worker->seeking;

    worker->loading_shard = -1;
    worker->seeking = 0;
    if (held == NULL)
        return;
    forget_ahead(worker, held);
    if (sought > 0 && !shard_answered(held->shard, sought))
        return;
    if (held->state == HELD_LOADING) {
        held->due_loaded += worker->loading.count < held->due_count - held->due_loaded
                                ? worker->loading.count
                                : held->due_count - held->due_loaded;
        return;
    }
    run_errands(worker, held);
    run_parked(worker, held);
    worker_want(worker, held);
}

bool
loading_turn(struct worker *worker, int timeout_ms)
{
    struct err why;
    int answer;

    if (!healthy(worker))
        return false;
    if (worker->loading_shard < 0 && !send_load(worker))
        return false;
    answer = worker->seeking > 0
                 ? store_seek_poll(worker->loader, timeout_ms, on_original, worker, &why)
                 : store_load_poll(worker->loader, timeout_ms, on_tenant, worker, &why);
    if (answer < 0) {
        log_warning("load", "text=\"%s\"", why.text);
        worker->loading_shard = -1;
        worker->seeking = 0;
        return false;
    }
    if (answer == 0)
        return false;
    answered(worker);
    return true;
}

bool
loading_park(struct worker *worker, struct held *held, const struct record *record, int32_t index,
             struct text tenant)
{
    struct parked *parked = list_add(&worker->parked);

    if (parked == NULL)
        return false;
    *parked = (struct parked){
        .shard = held->number, .index = index, .tenant = arena_text(worker->parking, tenant)};
    if (parked->tenant.at == NULL || !record_copy(&parked->record, record, worker->parking)) {
        worker->parked.count--;
        return false;
    }
    held->parked++;
    metric_set_to(worker->setup.metrics, METRIC_PARKED, (int64_t)worker->parked.count);
    return true;
}

bool
loading_errand(struct worker *worker, const struct errand *errand)
{
    struct errand *one = list_add(&worker->errands);

    if (one != NULL)
        *one = *errand;
    return one != NULL;
}

void
errand_free(struct errand *errand)
{
    order_free(errand->order);
    arena_free(errand->memory);
}

void
loading_forget(struct worker *worker, int32_t shard)
{
    struct held *held = worker_held(worker, shard);
    size_t kept = 0;

    for (size_t i = 0; i < worker->parked.count; i++)
        if (((struct parked *)list_at(&worker->parked, i))->shard != shard)
            *(struct parked *)list_at(&worker->parked, kept++) =
                *(struct parked *)list_at(&worker->parked, i);
    worker->parked.count = kept;
    kept = 0;
    for (size_t i = 0; i < worker->errands.count; i++) {
        struct errand *errand = list_at(&worker->errands, i);

        if (errand->shard == shard)
            errand_free(errand);
        else
            *(struct errand *)list_at(&worker->errands, kept++) = *errand;
    }
    worker->errands.count = kept;
    if (held != NULL)
        held->parked = 0;
}
