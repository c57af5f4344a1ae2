/* Writes UM-1 to a topic, and what a meter must make of it to two files. */
#include "tests/bench/bench.h"
#include "tests/bench/um1.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cell {
    int64_t events;
    int64_t input_tokens;
    int64_t output_tokens;
    int64_t cost_nano;
};

struct totals {
    struct cell cell[UM1_TENANTS][UM1_FEATURES][UM1_HOURS];
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
    struct cell *cell =
        &totals->cell[event->tenant][event->feature][(event->at_ms - UM1_START_MS) / 3600000];

    cell->events++;
    cell->input_tokens += event->input_tokens;
    cell->output_tokens += event->output_tokens;
    cell->cost_nano += event->cost_nano;
    totals->fresh++;
}

static FILE *
open_file(const struct options *options, const char *name)
{
    FILE *file = fopen(option_needed(options, name), "w");

    if (file == NULL)
        die("%s: cannot be written", option(options, name));
    return file;
}

/* tenant, feature, hour, events, input, output, cost in nano: tab-separated. */
static void
write_totals(const struct totals *totals, FILE *file)
{
    for (int t = 0; t < UM1_TENANTS; t++)
        for (int f = 0; f < UM1_FEATURES; f++)
            for (int h = 0; h < UM1_HOURS; h++) {
                const struct cell *cell = &totals->cell[t][f][h];

                if (cell->events > 0)
                    (void)fprintf(file,
                                  "t-%d\tf-%d\t%d\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64
                                  "\n",
                                  t, f, h, cell->events, cell->input_tokens, cell->output_tokens,
                                  cell->cost_nano);
            }
}

static int64_t
cost_of(const struct totals *totals, int tenant)
{
    int64_t sum = 0;

    for (int f = 0; f < UM1_FEATURES; f++)
        for (int h = 0; h < UM1_HOURS; h++)
            sum += totals->cell[tenant][f][h].cost_nano;
    return sum;
}

/* One tenant in five passes its limit, one in five more passes half of it. tenant, limit in nano,
 * spent in nano. */
static void
write_limits(const struct totals *totals, FILE *file)
{
    for (int t = 0; t < UM1_TENANTS; t++) {
        const int64_t spent = cost_of(totals, t);
        const int64_t spread = (t / 5) % 40;
        int64_t percent = 220 + 5 * spread;

        if (t % 5 == 0)
            percent = 50 + spread;
        else if (t % 5 == 1)
            percent = 110 + 2 * spread;
        (void)fprintf(file, "t-%d\t%" PRId64 "\t%" PRId64 "\n", t, spent / 100 * percent + 1000000,
                      spent);
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
    FILE *totals_file = open_file(options, "--totals");
    FILE *limits_file = open_file(options, "--limits");

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
    write_totals(totals, totals_file);
    write_limits(totals, limits_file);
    if (fclose(totals_file) != 0 || fclose(limits_file) != 0)
        die("the totals cannot be written");
    printf("{\"records\":%" PRId64 ",\"events\":%" PRId64 ",\"repeats\":%" PRId64
           ",\"bytes_each\":%" PRId64 "}\n",
           records, totals->fresh, records - totals->fresh, sending.bytes / records);
    free(totals);
    free(order);
    free(um1);
    return 0;
}
