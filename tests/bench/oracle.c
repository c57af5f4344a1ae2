/*
 * What a meter must make of UM-1: reads the topic back and writes totals and decisions to two files.
 *
 * It shares nothing with the engine: texts are searched for where the generator is known to have put
 * them, repeats are known by their number, windows are plain arrays.  The rules are those of the bench's
 * policy (catch_up.py), judged at every event in the order of its partition:
 *
 *   quota/spend         a tenant's cost reaches 50, 75, 90, 100 % of its limit: the highest newly reached
 *   quota/feature_hour  the cost of a feature in an hour of event time reaches the tenant's limit for
 *                       that; what comes when its partition has seen the next hour counts no more
 *   burst/key           more than --burst requests of a key in 60 seconds: when that first was so
 */
#include "tests/bench/bench.h"
#include "tests/bench/um1.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTITIONS 64
#define WINDOW_S   60
#define HOUR_MS    INT64_C(3600000)

struct cell {
    int64_t events;
    int64_t input_tokens;
    int64_t output_tokens;
    int64_t cost_nano;
    int64_t in_time_nano; /* of that, what came before the hour was over */
};

struct key {
    uint16_t slots[WINDOW_S]; /* by second */
    int64_t second;           /* the last of the window */
    int count;
    bool exceeded;
};

struct oracle {
    int64_t limit_nano[UM1_TENANTS];
    int64_t hour_limit_nano[UM1_TENANTS];
    int64_t spent_nano[UM1_TENANTS];
    struct cell cell[UM1_TENANTS][UM1_FEATURES][UM1_HOURS];
    struct key key[UM1_TENANTS][UM1_KEYS];
    int64_t time_ms[PARTITIONS]; /* the latest that came */
    int64_t left;                /* records */
    int64_t records;
    int64_t events;
    unsigned char *seen; /* a bit for every number */
    int burst;
    FILE *decisions;
};

struct reading {
    int64_t number;
    int64_t at_ms;
    int tenant;
    int feature;
    int key;
    int64_t input_tokens;
    int64_t output_tokens;
    int64_t cost_nano;
};

/* ---- read ------------------------------------------------------------------------------------- */

/* Moves behind the next occurrence. */
static void
skip_to(const char **at, const char *end, const char *mark)
{
    const size_t size = strlen(mark);

    for (; end - *at >= (ptrdiff_t)size; (*at)++)
        if (memcmp(*at, mark, size) == 0) {
            *at += size;
            return;
        }
    die("%s is missing in an event", mark);
}

static int64_t
number_at(const char **at, const char *end)
{
    int64_t number = 0;

    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++)
        number = number * 10 + (**at - '0');
    return number;
}

static int64_t
number_after(const char **at, const char *end, const char *mark)
{
    skip_to(at, end, mark);
    return number_at(at, end);
}

static int
index_after(const char **at, const char *end, const char *mark, int limit)
{
    const int64_t number = number_after(at, end, mark);

    if (number >= limit)
        die("%s%" PRId64 " is too large", mark, number);
    return (int)number;
}

static void
read_event(const char *at, const char *end, struct reading *out)
{
    out->number = number_after(&at, end, "\"id\":\"rec-");
    out->at_ms = UM1_START_MS + number_after(&at, end, "\"time\":\"2026-03-02T") * HOUR_MS;
    out->at_ms += number_after(&at, end, ":") * 60000;
    out->at_ms += number_after(&at, end, ":") * 1000;
    out->at_ms += number_after(&at, end, ".");
    out->tenant = index_after(&at, end, "\"subject\":\"t-", UM1_TENANTS);
    out->feature = index_after(&at, end, "\"feature\":\"f-", UM1_FEATURES);
    skip_to(&at, end, "\"api_key_id\":\"k-");
    out->key = index_after(&at, end, "-", UM1_KEYS);
    out->input_tokens = number_after(&at, end, "\"input_tokens\":");
    out->output_tokens = number_after(&at, end, "\"output_tokens\":");
    out->cost_nano = number_after(&at, end, "\"cost\":\"") * 1000000000;
    out->cost_nano += number_after(&at, end, ".");
}

static void
read_limits(struct oracle *oracle, const char *path)
{
    FILE *file = fopen(path, "r");
    int64_t tenant;
    int64_t limit;
    int64_t hour_limit;
    char line[128];

    if (file == NULL)
        die("%s: cannot be read", path);
    while (fgets(line, sizeof line, file) != NULL) {
        const char *at = line;
        const char *end = line + strlen(line);

        tenant = index_after(&at, end, "t-", UM1_TENANTS);
        limit = number_after(&at, end, "\t");
        hour_limit = number_after(&at, end, "\t");
        oracle->limit_nano[tenant] = limit;
        oracle->hour_limit_nano[tenant] = hour_limit;
    }
    (void)fclose(file);
}

/* ---- judge ------------------------------------------------------------------------------------ */

static void
judge_spend(struct oracle *oracle, const struct reading *event)
{
    static const int steps[] = {100, 90, 75, 50};
    const int64_t limit = oracle->limit_nano[event->tenant];
    const int64_t before = oracle->spent_nano[event->tenant];
    const int64_t now = before + event->cost_nano;

    oracle->spent_nano[event->tenant] = now;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (before * 100 >= limit * steps[i])
            return;
        if (now * 100 >= limit * steps[i]) {
            (void)fprintf(oracle->decisions, "quota/spend\tt-%d\t\t0\t%d\n", event->tenant,
                          steps[i]);
            return;
        }
    }
}

static void
judge_hour(struct oracle *oracle, const struct reading *event, struct cell *cell, int64_t now_ms)
{
    const int64_t limit = oracle->hour_limit_nano[event->tenant];
    const int64_t before = cell->in_time_nano;

    if (now_ms / HOUR_MS > event->at_ms / HOUR_MS)
        return;
    cell->in_time_nano += event->cost_nano;
    if (before < limit && cell->in_time_nano >= limit)
        (void)fprintf(oracle->decisions, "quota/feature_hour\tt-%d\tf-%d\t%" PRId64 "\t100\n",
                      event->tenant, event->feature, (event->at_ms - UM1_START_MS) / HOUR_MS);
}

static void
judge_burst(struct oracle *oracle, const struct reading *event, int64_t now_ms)
{
    struct key *key = &oracle->key[event->tenant][event->key];
    const int64_t second = now_ms / 1000;

    for (int64_t s = second - key->second >= WINDOW_S ? second - WINDOW_S : key->second; s < second;
         s++) {
        key->count -= key->slots[(s + 1) % WINDOW_S];
        key->slots[(s + 1) % WINDOW_S] = 0;
    }
    key->second = second;
    if (event->at_ms / 1000 <= second - WINDOW_S)
        return;
    key->slots[event->at_ms / 1000 % WINDOW_S]++;
    key->count++;
    if (key->count > oracle->burst && !key->exceeded) {
        key->exceeded = true;
        (void)fprintf(oracle->decisions, "burst/key\tt-%d\tk-%d-%d\t%" PRId64 "\t0\n",
                      event->tenant, event->tenant, event->key, now_ms);
    }
}

static void
take(struct oracle *oracle, const rd_kafka_message_t *message)
{
    struct reading event;
    rd_kafka_timestamp_type_t kind;
    const int64_t record_ms = rd_kafka_message_timestamp(message, &kind);
    int64_t *now_ms = &oracle->time_ms[message->partition];

    read_event(message->payload, (const char *)message->payload + message->len, &event);
    if (event.at_ms != record_ms || event.number >= oracle->records)
        die("event %" PRId64 " is none of UM-1", event.number);
    *now_ms = record_ms > *now_ms ? record_ms : *now_ms;
    unsigned char *seen = &oracle->seen[event.number / 8];
    const unsigned char bit = (unsigned char)(1U << (event.number % 8));

    if (*seen & bit)
        return;
    *seen |= bit;
    struct cell *cell =
        &oracle->cell[event.tenant][event.feature][(event.at_ms - UM1_START_MS) / HOUR_MS];

    oracle->events++;
    cell->events++;
    cell->input_tokens += event.input_tokens;
    cell->output_tokens += event.output_tokens;
    cell->cost_nano += event.cost_nano;
    judge_spend(oracle, &event);
    judge_hour(oracle, &event, cell, *now_ms);
    judge_burst(oracle, &event, *now_ms);
}

/* ---- all of it -------------------------------------------------------------------------------- */

static void
read_all(struct oracle *oracle, const struct options *options)
{
    const char *topic = option_needed(options, "--topic");
    rd_kafka_t *client = consumer_new(options);
    const int partitions = topic_partitions(client, topic);

    if (partitions > PARTITIONS)
        die("%s has more than %d partitions", topic, PARTITIONS);
    for (int i = 0; i < partitions; i++) {
        int64_t low;
        int64_t high;

        if (rd_kafka_query_watermark_offsets(client, topic, i, &low, &high, 10000) != 0 || low != 0)
            die("%s/%d: not there from its beginning", topic, i);
        oracle->records += high;
    }
    oracle->left = oracle->records;
    oracle->seen = calloc((size_t)oracle->records / 8 + 1, 1);
    if (oracle->seen == NULL)
        die("memory is short");
    rd_kafka_queue_t *queue = consumer_read(client, topic, partitions, RD_KAFKA_OFFSET_BEGINNING);

    for (; oracle->left > 0; oracle->left--) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(queue, 10000);

        if (message == NULL || message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            die("%" PRId64 " records are missing", oracle->left);
        take(oracle, message);
        rd_kafka_message_destroy(message);
    }
    (void)rd_kafka_assign(client, NULL);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    free(oracle->seen);
}

/* tenant, feature, hour, events, input, output, cost in nano: tab-separated. */
static void
write_totals(const struct oracle *oracle, FILE *file)
{
    for (int t = 0; t < UM1_TENANTS; t++)
        for (int f = 0; f < UM1_FEATURES; f++)
            for (int h = 0; h < UM1_HOURS; h++) {
                const struct cell *cell = &oracle->cell[t][f][h];

                if (cell->events > 0)
                    (void)fprintf(file,
                                  "t-%d\tf-%d\t%d\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64
                                  "\n",
                                  t, f, h, cell->events, cell->input_tokens, cell->output_tokens,
                                  cell->cost_nano);
            }
}

int
bench_oracle(const struct options *options)
{
    struct oracle *oracle = calloc(1, sizeof *oracle);
    FILE *totals = file_new(options, "--totals");

    if (oracle == NULL)
        die("memory is short");
    oracle->decisions = file_new(options, "--decisions");
    oracle->burst = (int)option_number(options, "--burst", 60);
    read_limits(oracle, option_needed(options, "--limits"));
    read_all(oracle, options);
    write_totals(oracle, totals);
    if (fclose(totals) != 0 || fclose(oracle->decisions) != 0)
        die("what was found cannot be written");
    printf("{\"records\":%" PRId64 ",\"events\":%" PRId64 "}\n", oracle->records, oracle->events);
    free(oracle);
    return 0;
}
