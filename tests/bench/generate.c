/* Writes UM-1 to a topic, and limits for its tenants, of which some are crossed, to a file. */
#include "tests/bench/bench.h"
#include "tests/bench/um1.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct totals {
    int64_t cost_nano[UM1_TENANTS][UM1_FEATURES][UM1_HOURS];
    int64_t fresh;
};

struct sending {
    rd_kafka_t *client;
    const char *topic;
    int64_t delivered;
    int64_t bytes;
};

static void
on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct sending *sending = opaque;

    (void)client;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        die("not delivered: %s", rd_kafka_err2str(message->err));
    sending->delivered++;
}

static void
count(struct totals *totals, const struct um1_event *event)
{
    const int64_t hour = (event->at_ms - UM1_START_MS) / 3600000;

    totals->cost_nano[event->tenant][event->feature][hour] += event->cost_nano;
    totals->fresh++;
}

/* What a tenant spends, and what its dearest feature does in its dearest hour. */
static int64_t
cost_of(const struct totals *totals, int tenant, int64_t *dearest)
{
    int64_t sum = 0;

    *dearest = 0;
    for (int f = 0; f < UM1_FEATURES; f++)
        for (int h = 0; h < UM1_HOURS; h++) {
            const int64_t cost = totals->cost_nano[tenant][f][h];

            sum += cost;
            *dearest = cost > *dearest ? cost : *dearest;
        }
    return sum;
}

/* One tenant in five passes its limit, one in five more passes half of it; one in twelve has features
 * that pass three times the baseline of an hour, which is the tenant's.  tenant, limit in nano, limit of
 * an hour in nano (the least that is more than three times the baseline), spent in nano. */
static void
write_limits(const struct totals *totals, FILE *file)
{
    for (int t = 0; t < UM1_TENANTS; t++) {
        int64_t dearest;
        const int64_t spent = cost_of(totals, t, &dearest);
        const int64_t spread = (t / 5) % 40;
        const int64_t baseline = (t % 12 == 3 ? dearest * 2 / 3 : dearest * 2) / 3 + 1000000;
        int64_t percent = 220 + 5 * spread;

        if (t % 5 == 0)
            percent = 50 + spread;
        else if (t % 5 == 1)
            percent = 110 + 2 * spread;
        (void)fprintf(file, "t-%d\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\n", t,
                      spent / 100 * percent + 1000000, 3 * baseline + 1, spent);
    }
}

static void
send_one(struct sending *sending, struct um1_writer *writer, const struct um1_event *event)
{
    char value[UM1_SIZE];
    char subject[24];
    const size_t size = um1_write(writer, event, value, subject);

    sending->bytes += (int64_t)size;
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = sending->topic},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {value, size}},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {subject, strlen(subject)}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = event->at_ms},
    };

    while (sending->client != NULL) {
        rd_kafka_error_t *error =
            rd_kafka_produceva(sending->client, parts, sizeof parts / sizeof *parts);
        const rd_kafka_resp_err_t code =
            error == NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(error);

        rd_kafka_error_destroy(error);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            break;
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            die("produce: %s", rd_kafka_err2str(code));
        (void)rd_kafka_poll(sending->client, 100);
    }
}

/* Instead of UM-1's few keys: --keys of them in turn, spread over WIDE_TENANTS, --rate a second of event
 * time, numbered from --first on.  All use one feature, project and model: only keys are many. */
#define WIDE_TENANTS 1000

struct wide {
    int64_t keys; /* 0: UM-1 as it is */
    int64_t rate;
    int64_t first;
};

static struct wide
wide_of(const struct options *options)
{
    const struct wide wide = {.keys = option_number(options, "--keys", 0),
                              .rate = option_number(options, "--rate", 1000),
                              .first = option_number(options, "--first", 0)};

    if (wide.keys % WIDE_TENANTS != 0 || wide.rate < 1)
        die("--keys must be a multiple of %d, and --rate not 0", WIDE_TENANTS);
    return wide;
}

static void
widen(const struct wide *wide, struct um1_event *event)
{
    const int64_t number = event->number + wide->first;

    if (wide->keys == 0)
        return;
    event->number = number;
    event->tenant = (int)(number % WIDE_TENANTS);
    event->key = (int)(number / WIDE_TENANTS % (wide->keys / WIDE_TENANTS));
    event->feature = event->project = event->model = 0;
    event->at_ms = UM1_START_MS + number * 1000 / wide->rate;
    if (event->at_ms >= UM1_START_MS + UM1_HOURS * INT64_C(3600000))
        die("--rate is too small: the events take more than %d hours", UM1_HOURS);
}

int
bench_generate(const struct options *options)
{
    static const char *const settings[] = {"compression.codec",
                                           "lz4",
                                           "linger.ms",
                                           "100",
                                           "batch.size",
                                           "1000000",
                                           "batch.num.messages",
                                           "10000",
                                           "queue.buffering.max.messages",
                                           "200000",
                                           "queue.buffering.max.kbytes",
                                           "200000",
                                           "enable.idempotence",
                                           "true",
                                           NULL};
    const int64_t records = option_number(options, "--events", 2000000);
    struct um1 *um1 = calloc(1, sizeof *um1);
    struct um1_order *order = calloc(1, sizeof *order);
    struct totals *totals = calloc(1, sizeof *totals);
    struct um1_writer writer = {.day = -1};
    struct sending sending = {.topic = option_needed(options, "--topic")};
    const struct wide wide = wide_of(options);
    FILE *limits_file = file_new(options, "--limits");

    if (um1 == NULL || order == NULL || totals == NULL)
        die("memory is short");
    um1_init(um1, (uint64_t)option_number(options, "--seed", 1), records);
    um1_order_init(order, um1);
    if (!option_flag(options, "--dry"))
        sending.client = producer_new(options, settings, on_delivery, &sending);
    for (int64_t i = 0; i < records; i++) {
        struct um1_event event;
        bool repeat;

        um1_make(um1, um1_next(order, &repeat), &event);
        widen(&wide, &event);
        send_one(&sending, &writer, &event);
        if (!repeat)
            count(totals, &event);
        if (sending.client != NULL && i % 1000 == 0)
            (void)rd_kafka_poll(sending.client, 0);
    }
    if (sending.client != NULL) {
        (void)rd_kafka_flush(sending.client, 120000);
        if (sending.delivered != records)
            die("%" PRId64 " of %" PRId64 " records delivered", sending.delivered, records);
        rd_kafka_destroy(sending.client);
    }
    write_limits(totals, limits_file);
    if (fclose(limits_file) != 0)
        die("the limits cannot be written");
    printf("{\"records\":%" PRId64 ",\"events\":%" PRId64 ",\"repeats\":%" PRId64
           ",\"bytes_each\":%" PRId64 "}\n",
           records, totals->fresh, records - totals->fresh, sending.bytes / records);
    free(totals);
    free(order);
    free(um1);
    return 0;
}
