/*
 * The ceiling: librdkafka as the engine uses it, and nothing behind it but one byte touched; with
 * --parse also the engine's decoder.
 */
#include "ingest/decode.h"
#include "tests/bench/bench.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define TAKE_LIMIT 1000

struct reading {
    rd_kafka_t *client;
    const char *topic;
    int partitions;
    int64_t *next; /* by partition: offset behind what was read */
    int64_t *end;
    int64_t left;            /* records */
    struct decoder *decoder; /* NULL: touch a byte only */
    int64_t events;          /* decoded */
    uint64_t sum;            /* so that the touch is not optimised away */
    atomic_bool done;
};

static void
find_ends(struct reading *reading)
{
    reading->next = calloc((size_t)reading->partitions, sizeof *reading->next);
    reading->end = calloc((size_t)reading->partitions, sizeof *reading->end);
    if (reading->next == NULL || reading->end == NULL)
        die("memory is short");
    for (int i = 0; i < reading->partitions; i++) {
        const rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
            reading->client, reading->topic, i, &reading->next[i], &reading->end[i], 10000);

        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            die("%s/%d: %s", reading->topic, i, rd_kafka_err2str(code));
        reading->left += reading->end[i] - reading->next[i];
    }
}

/* Before librdkafka 2.2.0 a fetcher whose queue is full sleeps for up to a second unless something
 * is asked of it: the engine asks for the watermarks. */
static void *
wake(void *opaque)
{
    struct reading *reading = opaque;
    int turn = 0;

    while (!atomic_load(&reading->done)) {
        int64_t low;
        int64_t high;

        (void)rd_kafka_query_watermark_offsets(reading->client, reading->topic,
                                               turn++ % reading->partitions, &low, &high, 1000);
        sleep_until_ns(now_ns() + 10000000);
    }
    return NULL;
}

static void
decode(struct reading *reading, const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t kind;
    const struct record record = {.partition = message->partition,
                                  .offset = message->offset,
                                  .time_ms = rd_kafka_message_timestamp(message, &kind),
                                  .key = {message->key, message->key_len},
                                  .value = {message->payload, message->len}};
    struct event event;
    struct dead dead;

    decoder_open(reading->decoder, &record);
    for (;;) {
        switch (decoder_next(reading->decoder, &event, &dead)) {
        case DECODED_END:
            return;
        case DECODED_EVENT:
            reading->events++;
            reading->sum += (uint64_t)event.cost.nano;
            break;
        case DECODED_IGNORED:
            break;
        case DECODED_DEAD:
            die("offset %" PRId64 ": %s", message->offset, dead.detail);
        }
    }
}

static void
take(struct reading *reading, rd_kafka_message_t *message)
{
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        die("%s", rd_kafka_message_errstr(message));
    if (reading->decoder != NULL)
        decode(reading, message);
    else
        reading->sum += ((const unsigned char *)message->payload)[message->len / 2];
    reading->left--;
    rd_kafka_message_destroy(message);
}

static void
read_all(struct reading *reading, rd_kafka_queue_t *queue)
{
    rd_kafka_message_t *messages[TAKE_LIMIT];

    while (reading->left > 0) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, 0, messages, TAKE_LIMIT);

        if (got <= 0) {
            messages[0] = rd_kafka_consume_queue(queue, 10000);
            got = messages[0] != NULL;
            if (got == 0)
                die("nothing came for 10 s; %" PRId64 " records are missing", reading->left);
        }
        for (ssize_t i = 0; i < got; i++)
            take(reading, messages[i]);
    }
}

int
bench_consume(const struct options *options)
{
    const int64_t start_ns = now_ns();
    struct reading reading = {.topic = option_needed(options, "--topic")};
    rd_kafka_queue_t *queue;
    pthread_t waker;
    int64_t records;

    reading.client = consumer_new(options);
    reading.partitions = topic_partitions(reading.client, reading.topic);
    if (option_flag(options, "--parse") && (reading.decoder = decoder_new()) == NULL)
        die("memory is short");
    find_ends(&reading);
    records = reading.left;
    if (pthread_create(&waker, NULL, wake, &reading) != 0)
        die("no thread");
    queue =
        consumer_read(reading.client, reading.topic, reading.partitions, RD_KAFKA_OFFSET_BEGINNING);
    read_all(&reading, queue);
    const int64_t wall_ns = now_ns() - start_ns;
    const int64_t used_ns = cpu_ns();

    atomic_store(&reading.done, true);
    (void)pthread_join(waker, NULL);
    printf("{\"records\":%" PRId64 ",\"events\":%" PRId64
           ",\"wall_s\":%.3f,\"cpu_s\":%.3f,\"peak_rss_kib\":%" PRId64 ",\"sum\":%" PRIu64 "}\n",
           records, reading.events, (double)wall_ns / 1e9, (double)used_ns / 1e9, peak_rss_kib(),
           reading.sum);
    (void)rd_kafka_assign(reading.client, NULL);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(reading.client);
    decoder_free(reading.decoder);
    free(reading.next);
    free(reading.end);
    return 0;
}
