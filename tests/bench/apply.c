/*
 * What an event costs between its bytes and the open settlement, without Kafka and Postgres: the
 * decoder and the shards alone, on UM-1 made in memory.  For comparisons and for profiles.
 */
#include "core/identity.h"
#include "core/partitioner.h"
#include "ingest/decode.h"
#include "rules/shard.h"
#include "tests/bench/bench.h"
#include "tests/bench/um1.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS       8
#define BATCH        1000
#define AHEAD        8 /* as engine/apply.c */
#define APART        2
#define SETTLE_AFTER 25000 /* records of a shard: half a second of catching up */

static struct quota quotas[] = {{.name = {"spend", 5},
                                 .full_name = {"quota/spend", 11},
                                 .meter = METER_COST,
                                 .limit = (tally)1000000000000000,
                                 .soft_pct = 80,
                                 .steps = {50, 75, 90, 100},
                                 .step_count = 4},
                                {.name = {"feature_hour", 12},
                                 .full_name = {"quota/feature_hour", 18},
                                 .meter = METER_COST,
                                 .scope = QUOTA_FEATURE,
                                 .window = WINDOW_HOUR,
                                 .limit = (tally)1000000000000000,
                                 .soft_pct = 80,
                                 .steps = {100},
                                 .step_count = 1,
                                 .on_exceed = ON_EXCEED_ALERT}};
static struct plan plan = {.name = {"um1", 3},
                           .quotas = quotas,
                           .quota_count = 2,
                           .counts = true,
                           .bursts = {[BURST_KEY] = {.on = true, .limit = 60}}};
static struct policy policy = {.serial = 1,
                               .plans = &plan,
                               .plan_count = 1,
                               .grace_ms = 72 * CLOCK_HOUR_MS,
                               .fallback_plan = &plan,
                               .zone = {"UTC", 3},
                               .currency = {"USD", 3},
                               .has_bursts = true,
                               .bursts = {[BURST_KEY] = {true, false}}};

/* A batch of one shard, as the consumer would hand it over. */
struct batch {
    char bytes[BATCH][UM1_SIZE];
    char key[BATCH][24];
    struct record record[BATCH];
    size_t count;
};

struct running {
    struct shard *shard[SHARDS];
    struct batch *batch[SHARDS];
    int64_t offset[SHARDS];
    struct decoder *decoder[AHEAD];
    struct metric_set metrics;
    int64_t rows;
    int64_t decode_ns;
    int64_t all_ns;
};

static void
settle(struct running *running, struct shard *shard)
{
    const struct settlement *frozen = shard_freeze(shard);

    if (frozen == NULL)
        return;
    running->rows +=
        (int64_t)(frozen->facts.count + frozen->key_facts.count + frozen->periods.count);
    shard_settled(shard, NULL, 0);
}

/* Some records at once, as the engine does: read and looked up, then applied. */
static void
apply_some(struct running *running, struct shard *shard, const struct record *records, size_t count)
{
    struct event event[AHEAD];
    struct lookup lookup[AHEAD];
    struct dead dead;

    for (size_t i = 0; i < count + (size_t)APART * FORESEE_STEPS; i++) {
        if (i < count) {
            decoder_open(running->decoder[i], &records[i]);
            if (decoder_next(running->decoder[i], &event[i], &dead) != DECODED_EVENT)
                die("an event cannot be read");
            lookup_of(&lookup[i], &event[i]);
            (void)shard_foresee(shard, records[i].topic, &lookup[i]);
        }
        for (size_t step = 1; step <= FORESEE_STEPS; step++)
            if (i - APART * step < count) /* wraps where there is none */
                shard_foresee_more(shard, &lookup[i - APART * step], step);
    }
    for (size_t i = 0; i < count; i++) {
        if (!shard_advance(shard, records[i].time_ms))
            die("the settlement is full");
        shard_record(shard, &records[i]);
        if (!shard_knows(shard, event[i].tenant) &&
            !shard_load(shard, &(struct tenant_load){.name = event[i].tenant,
                                                     .home = records[i].partition,
                                                     .known = true,
                                                     .version = 1,
                                                     .zone = zone_utc()}))
            die("memory is short");
        if (shard_event(shard, &records[i], 0, &event[i], &lookup[i]) != APPLIED)
            die("a tenant is unknown");
        shard_record_end(shard, &records[i]);
    }
}

/* Decoding alone, to be taken off. */
static void
decode_batch(struct running *running, const struct batch *batch)
{
    struct event event;
    struct dead dead;

    for (size_t i = 0; i < batch->count; i++) {
        decoder_open(running->decoder[i % AHEAD], &batch->record[i]);
        if (decoder_next(running->decoder[i % AHEAD], &event, &dead) != DECODED_EVENT)
            die("an event cannot be read");
    }
}

static void
apply_batch(struct running *running, int number)
{
    struct batch *batch = running->batch[number];
    struct shard *shard = running->shard[number];
    const int64_t start_ns = cpu_ns();

    decode_batch(running, batch);
    const int64_t decoded_ns = cpu_ns();

    for (size_t i = 0; i < batch->count; i += AHEAD)
        apply_some(running, shard, &batch->record[i],
                   batch->count - i < AHEAD ? batch->count - i : AHEAD);
    if (running->offset[number] % SETTLE_AFTER < BATCH)
        settle(running, shard);
    running->decode_ns += decoded_ns - start_ns;
    running->all_ns += cpu_ns() - decoded_ns;
    batch->count = 0;
}

static void
add(struct running *running, struct um1_writer *writer, const struct um1_event *event)
{
    char subject[24];
    char value[UM1_SIZE];
    const size_t size = um1_write(writer, event, value, subject);
    const int32_t number = partitioner_partition(text_of(subject), SHARDS);
    struct batch *batch = running->batch[number];
    const size_t at = batch->count++;

    memcpy(batch->bytes[at], value, size);
    memcpy(batch->key[at], subject, sizeof subject);
    batch->record[at] = (struct record){.partition = number,
                                        .offset = running->offset[number]++,
                                        .time_ms = event->at_ms,
                                        .key = text_of(batch->key[at]),
                                        .value = {batch->bytes[at], size}};
    if (batch->count == BATCH)
        apply_batch(running, number);
}

static void
begin(struct running *running)
{
    static const char *const topics[] = {"usage"};
    const struct progress progress = {.last_offset = -1};

    identity_seed(1);
    for (int i = 0; i < AHEAD; i++)
        if ((running->decoder[i] = decoder_new()) == NULL)
            die("memory is short");
    for (int i = 0; i < SHARDS; i++) {
        running->batch[i] = calloc(1, sizeof *running->batch[i]);
        running->shard[i] = shard_new(&(struct shard_setup){.shard = i,
                                                            .topic_count = 1,
                                                            .topics = topics,
                                                            .dedupe = true,
                                                            .dedupe_window_ms = 21600000,
                                                            .dedupe_records = 1000000,
                                                            .settle_memory = (size_t)64 << 20,
                                                            .tenant_limit = 100000,
                                                            .burst_entries = 1000000,
                                                            .metrics = &running->metrics});
        if (running->batch[i] == NULL || running->shard[i] == NULL)
            die("memory is short");
        shard_begin(running->shard[i],
                    &(struct shard_start){
                        .epoch = 1, .progress = &progress, .policy = &policy, .enforcing = true});
    }
}

static void
end(struct running *running)
{
    for (int i = 0; i < SHARDS; i++) {
        shard_free(running->shard[i]);
        free(running->batch[i]);
    }
    for (int i = 0; i < AHEAD; i++)
        decoder_free(running->decoder[i]);
}

int
bench_apply(const struct options *options)
{
    const int64_t records = option_number(options, "--events", 1000000);
    struct running *running = calloc(1, sizeof *running);
    struct um1 *um1 = calloc(1, sizeof *um1);
    struct um1_order *order = calloc(1, sizeof *order);
    struct um1_writer writer = {.day = -1};

    if (running == NULL || um1 == NULL || order == NULL)
        die("memory is short");
    um1_init(um1, 1, records);
    um1_order_init(order, um1);
    begin(running);
    for (int64_t i = 0; i < records; i++) {
        struct um1_event event;
        bool repeat;

        um1_make(um1, um1_next(order, &repeat), &event);
        add(running, &writer, &event);
    }
    for (int i = 0; i < SHARDS; i++) {
        apply_batch(running, i);
        settle(running, running->shard[i]);
    }
    const int64_t counted = metric_get(&running->metrics, METRIC_COUNTED);

    printf("{\"records\":%" PRId64 ",\"counted\":%" PRId64 ",\"rows\":%" PRId64
           ",\"decode_ns\":%.1f,\"apply_ns\":%.1f,\"peak_rss_kib\":%" PRId64 "}\n",
           records, counted, running->rows, (double)running->decode_ns / (double)records,
           (double)(running->all_ns - running->decode_ns) / (double)records, peak_rss_kib());
    end(running);
    free(order);
    free(um1);
    free(running);
    return 0;
}
