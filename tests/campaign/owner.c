#include "tests/campaign/owner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MEMORY        ((size_t)64 << 20)
#define SETTLE_MEMORY ((size_t)16 << 20)
#define TENANT_LIMIT  4 /* fewer than there are: they leave memory and come back */
#define PARKED_LIMIT  4096
#define LOAD_MS       10000

/* An event whose tenant is to be loaded. */
struct parked {
    struct record record;
    int32_t index;
    struct text tenant;
};

void
say(const char *word)
{
    (void)puts(word);
    (void)fflush(stdout);
}

static void
give_up(const char *what, const struct err *why)
{
    printf("broken %s: %s\n", what, why->text);
    (void)fflush(stdout);
    exit(3); /* NOLINT(concurrency-mt-unsafe) */
}

static bool
connected(struct campaign *campaign)
{
    struct err why;

    while (campaign->store == NULL || store_broken(campaign->store)) {
        store_close(campaign->store);
        campaign->store = store_open(campaign->config, campaign->name, &why);
        if (campaign->store == NULL && why.class == ERR_FATAL)
            give_up("connection", &why);
        if (campaign->store == NULL)
            say("later");
    }
    return true;
}

/* Something was lost with the connection. What is to come next may have been said meanwhile. */
static void
stumble(struct campaign *campaign, const char *word)
{
    const struct timespec pause = {.tv_nsec = 5000000};

    say(word);
    (void)nanosleep(&pause, NULL);
    campaign->listen();
}

void
owner_drop(struct owner *owner)
{
    shard_free(owner->shard);
    arena_free(owner->memory);
    owner->shard = NULL;
    owner->memory = NULL;
}

/* ---- loading ------------------------------------------------------------------------------------- */

struct loading {
    struct shard *shard;
    const struct text *names;
    size_t count;
};

static void
on_tenant(void *context, const struct tenant_load *load)
{
    const struct loading *const loading = context;
    struct tenant_load own = *load;

    own.zone = load->zone == NULL ? zone_utc() : load->zone;
    if (!shard_load(loading->shard, &own))
        abort();
}

/* Until it succeeds: what is parked must not be settled over. */
static void
load(struct owner *owner, struct loading *loading)
{
    struct campaign *const campaign = owner->campaign;
    const struct load_query query = {.shard = owner->log.shard,
                                     .claim_home = true,
                                     .after_ms = shard_time(owner->shard),
                                     .names = loading->names,
                                     .count = loading->count};
    struct err why;

    loading->shard = owner->shard;
    while (loading->count > 0 && connected(campaign)) {
        if (store_load_send(campaign->store, &query, &why) &&
            store_load_poll(campaign->store, LOAD_MS, on_tenant, loading, &why) == 1)
            return;
        stumble(campaign, "load");
    }
}

static void
on_original(void *context, size_t index, const struct original *original)
{
    shard_found(context, index, original);
}

/* What events wait for of the record of settled events. */
static void
seek(struct owner *owner)
{
    struct campaign *const campaign = owner->campaign;
    const struct sought *sought;
    const size_t count = shard_sought(owner->shard, &sought);
    struct err why;

    while (count > 0 && connected(campaign)) {
        shard_asked(owner->shard);
        if (store_seek_send(campaign->store, sought, count, &why) &&
            store_seek_poll(campaign->store, LOAD_MS, on_original, owner->shard, &why) == 1 &&
            shard_answered(owner->shard, count))
            return;
        stumble(campaign, "seek");
    }
}

/* ---- claims -------------------------------------------------------------------------------------- */

struct due_names {
    struct arena *memory;
    struct text names[PARKED_LIMIT];
    size_t count;
};

static void
on_due(void *context, struct text name)
{
    struct due_names *const due = context;

    if (due->count == PARKED_LIMIT)
        abort();
    due->names[due->count++] = arena_text(due->memory, name);
}

static bool
was_dead(const struct claim *claim, int64_t offset, int32_t index)
{
    for (size_t i = 0; i < claim->dead_count[0]; i++)
        if (claim->dead[0][i] == offset * 4096 + index)
            return true;
    return false;
}

/* As far back as the duplicate window reaches, in offsets or in time. */
static void
read_tail(struct owner *owner, const struct claim *claim)
{
    const struct config *const config = owner->campaign->config;
    const int64_t next = claim->progress[0].next;
    const int64_t since_ms = claim->progress[0].time_ms - config->dedupe.window_ms;
    int64_t from = next - config->dedupe.records + 1;

    if (!config->dedupe.on)
        return;
    if (from < 0)
        from = 0;
    while (from < next && fake_log_at(&owner->log, from).time_ms <= since_ms)
        from++;
    for (; from < next; from++) {
        const struct record record = fake_log_at(&owner->log, from);
        struct event event;
        struct dead dead;
        enum decoded found;
        int32_t index = 0;

        shard_record(owner->shard, &record);
        decoder_open(owner->campaign->decoder, &record);
        while ((found = decoder_next(owner->campaign->decoder, &event, &dead)) != DECODED_END) {
            if (found == DECODED_EVENT && !was_dead(claim, from, index) &&
                !shard_tail(owner->shard, &record, &event))
                abort();
            index++;
        }
    }
}

static void
begin(struct owner *owner, struct claim *claim, struct due_names *due)
{
    const struct config *const config = owner->campaign->config;

    shard_free(owner->shard);
    owner->shard = shard_new(&(struct shard_setup){.shard = owner->log.shard,
                                                   .topic_count = 1,
                                                   .topics = config->kafka.topics,
                                                   .dedupe = config->dedupe.on,
                                                   .dedupe_window_ms = config->dedupe.window_ms,
                                                   .dedupe_records = config->dedupe.records,
                                                   .settle_memory = SETTLE_MEMORY,
                                                   .tenant_limit = TENANT_LIMIT,
                                                   .record = config->record.on,
                                                   .metrics = owner->campaign->metrics});
    if (owner->shard == NULL)
        abort();
    if (claim->progress[0].next < 0)
        claim->progress[0].from = claim->progress[0].next = 0;
    shard_begin(owner->shard, &(struct shard_start){.epoch = claim->epoch,
                                                    .seq = claim->seq,
                                                    .time_ms = claim->time_ms,
                                                    .closed_ms = claim->closed_ms,
                                                    .progress = claim->progress,
                                                    .policy = owner->campaign->policy,
                                                    .enforcing = claim->enforcing});
    load(owner, &(struct loading){.names = due->names, .count = due->count});
    read_tail(owner, claim);
}

bool
owner_claim(struct owner *owner)
{
    struct campaign *const campaign = owner->campaign;
    struct claim claim = {.shard = owner->log.shard,
                          .epoch = owner->shard == NULL ? -1 : shard_epoch(owner->shard),
                          .seq = owner->shard == NULL ? -1 : shard_seq(owner->shard)};
    struct arena *const memory = arena_new(MEMORY);
    struct due_names due = {.memory = memory};
    struct err why;

    if (memory == NULL)
        abort();
    if (!connected(campaign) ||
        !store_claim(campaign->store, campaign->name, &claim, memory, &why) ||
        (!claim.kept &&
         !store_due(campaign->store,
                    &(struct due_query){
                        .shard = claim.shard, .until_ms = claim.time_ms, .restricted = true},
                    on_due, &due, &why))) {
        /* It may have been committed: then the epoch is another one, and memory is not kept. */
        arena_free(memory);
        stumble(campaign, "later");
        return false;
    }
    (void)fake_log_end(&owner->log);
    say(claim.kept ? "kept" : "claimed");
    if (claim.kept) {
        arena_free(memory);
        return true;
    }
    begin(owner, &claim, &due);
    arena_free(owner->memory);
    owner->memory = memory;
    return true;
}

/* ---- records ------------------------------------------------------------------------------------- */

static void
apply_events(struct owner *owner, const struct record *record, struct list *parked)
{
    struct campaign *const campaign = owner->campaign;
    struct event event;
    struct dead dead;
    enum decoded found;
    int32_t index = 0;

    decoder_open(campaign->decoder, record);
    while ((found = decoder_next(campaign->decoder, &event, &dead)) != DECODED_END) {
        if (found == DECODED_IGNORED)
            shard_ignored(owner->shard, record);
        else if (found == DECODED_DEAD)
            (void)shard_dead(owner->shard, record, index, &event, &dead);
        else if (shard_event(owner->shard, record, index, &event, NULL) == APPLIED_UNKNOWN) {
            struct parked *const one = list_add(parked);

            if (one == NULL)
                abort();
            *one = (struct parked){*record, index, arena_text(owner->memory, event.tenant)};
        }
        index++;
    }
}

static void
apply_parked(struct owner *owner, const struct parked *parked)
{
    struct event event;
    struct dead dead;
    enum decoded found;
    int32_t index = 0;

    decoder_open(owner->campaign->decoder, &parked->record);
    while ((found = decoder_next(owner->campaign->decoder, &event, &dead)) != DECODED_END)
        if (index++ == parked->index && found == DECODED_EVENT)
            while (shard_parked(owner->shard, &parked->record, parked->index, &event) ==
                   APPLIED_UNKNOWN)
                seek(owner);
}

static void
load_parked(struct owner *owner, const struct list *parked)
{
    struct text names[PARKED_LIMIT];
    struct loading loading = {.names = names};

    for (size_t i = 0; i < parked->count; i++) {
        const struct text tenant = ((const struct parked *)list_at(parked, i))->tenant;
        size_t at = 0;

        while (at < loading.count && !text_eq(names[at], tenant))
            at++;
        if (at == loading.count)
            names[loading.count++] = tenant;
    }
    load(owner, &loading);
    for (size_t i = 0; i < parked->count; i++)
        apply_parked(owner, list_at(parked, i));
}

/* Up to `records` more; those of unknown tenants wait behind the others. */
static void
apply(struct owner *owner, int64_t records)
{
    const int64_t end = fake_log_end(&owner->log);
    struct scope_state *const *states;
    struct list parked;

    list_init(&parked, sizeof(struct parked), PARKED_LIMIT);
    for (; records > 0 && shard_next_offset(owner->shard, 0) < end; records--) {
        const struct record record = fake_log_at(&owner->log, shard_next_offset(owner->shard, 0));

        if (!shard_advance(owner->shard, record.time_ms))
            break;
        shard_record(owner->shard, &record);
        apply_events(owner, &record, &parked);
        shard_record_end(owner->shard, &record);
        shard_fingerprint(owner->shard, 0, record_fingerprint(&record));
    }
    load_parked(owner, &parked);
    list_free(&parked);
    shard_wanted_taken(owner->shard, shard_wanted(owner->shard, &states));
}

/* ---- settlements --------------------------------------------------------------------------------- */

/* Sent again and again until its fate is known. */
static bool
settle(struct owner *owner, const struct settlement *settlement)
{
    struct campaign *const campaign = owner->campaign;
    struct settle_result result;
    struct err why;

    while (connected(campaign)) {
        switch (store_settle(campaign->store, campaign->config, settlement, &result, &why)) {
        case SETTLED:
            say(result.resent ? "resent" : "settled");
            if (result.period_differs > 0)
                give_up("totals", &why);
            shard_settled(owner->shard, NULL, 0);
            return true;
        case SETTLE_UNKNOWN:
            stumble(campaign, "unknown");
            break;
        case SETTLE_FENCED:
            say("fenced");
            owner_drop(owner);
            return false;
        case SETTLE_REFUSED:
        case SETTLE_IMPOSSIBLE:
            give_up("settlement", &why);
        }
    }
    return false;
}

bool
owner_settle(struct owner *owner, int64_t records)
{
    apply(owner, records);
    const struct settlement *const settlement = shard_freeze(owner->shard);

    if (settlement == NULL) {
        say("idle");
        return true;
    }
    apply(owner, records);
    return settle(owner, settlement);
}
