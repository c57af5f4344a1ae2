/*
 * What Kafka itself costs a decision: a message of an event's size is produced, consumed, answered
 * with another one, and that is consumed.  One in --every is answered, as one event in so many
 * trips a limit.
 */
#include "tests/bench/bench.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_SIZE 530
#define LAST_NS      INT64_C(60000000000) /* how long the last answers may take */

struct echo {
    const struct options *options;
    const char *topic;
    const char *back;
    int64_t warm_ns; /* what is sent before is not counted */
    struct samples samples;
    _Atomic int64_t answered;
    _Atomic int64_t ready; /* consumers that have begun */
    atomic_bool done;
};

struct content {
    int64_t sent_ns;
    bool answer;
};

/* Calls for every message until the end. */
static void
consume(struct echo *echo, const char *topic, void (*on_message)(void *, const struct content *),
        void *context)
{
    rd_kafka_t *client = consumer_new(echo->options);
    rd_kafka_queue_t *queue =
        consumer_read(client, topic, topic_partitions(client, topic), RD_KAFKA_OFFSET_BEGINNING);

    atomic_fetch_add(&echo->ready, 1);
    while (!atomic_load(&echo->done)) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(queue, 100);
        struct content content;

        if (message == NULL)
            continue;
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            die("%s", rd_kafka_message_errstr(message));
        memcpy(&content, message->payload, sizeof content);
        on_message(context, &content);
        rd_kafka_message_destroy(message);
    }
    (void)rd_kafka_assign(client, NULL);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
}

static rd_kafka_topic_t *
topic_of(rd_kafka_t *client, const char *name)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);

    if (topic == NULL)
        die("%s: no handle", name);
    return topic;
}

static void
produce(rd_kafka_t *client, rd_kafka_topic_t *topic, const struct content *content, const char *key)
{
    char bytes[MESSAGE_SIZE] = {0};

    memcpy(bytes, content, sizeof *content);
    produce_at_last(client, topic, key, bytes, sizeof bytes);
}

struct answering {
    rd_kafka_t *producer;
    rd_kafka_topic_t *topic;
};

static void
answer(void *context, const struct content *content)
{
    const struct answering *answering = context;

    if (content->answer)
        produce(answering->producer, answering->topic, content, "answer");
}

static void *
answer_all(void *opaque)
{
    struct echo *echo = opaque;
    struct answering answering = {.producer = producer_prompt(echo->options, NULL, NULL)};

    answering.topic = topic_of(answering.producer, echo->back);
    consume(echo, echo->topic, answer, &answering);
    (void)rd_kafka_flush(answering.producer, 5000);
    rd_kafka_topic_destroy(answering.topic);
    rd_kafka_destroy(answering.producer);
    return NULL;
}

static void
hear(void *context, const struct content *content)
{
    struct echo *echo = context;

    if (content->sent_ns >= echo->warm_ns)
        samples_add(&echo->samples, now_ns() - content->sent_ns);
    atomic_fetch_add(&echo->answered, 1);
}

static void *
hear_all(void *opaque)
{
    struct echo *echo = opaque;

    consume(echo, echo->back, hear, echo);
    return NULL;
}

/* Open loop: a message that is late does not hold up the next. */
static int64_t
ask_all(struct echo *echo, int64_t rate, int64_t seconds, int64_t every)
{
    rd_kafka_t *producer = producer_prompt(echo->options, NULL, NULL);
    rd_kafka_topic_t *topic = topic_of(producer, echo->topic);
    const int64_t start_ns = now_ns();
    int64_t asked = 0;

    echo->warm_ns = start_ns + 1000000000;
    for (int64_t i = 0; i < rate * seconds; i++) {
        char key[24];

        sleep_until_ns(start_ns + i * 1000000000 / rate);
        (void)snprintf(key, sizeof key, "k-%" PRId64, i % 1000);
        const struct content content = {now_ns(), i % every == 0};

        produce(producer, topic, &content, key);
        asked += content.answer;
    }
    (void)rd_kafka_flush(producer, 60000);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(producer);
    return asked;
}

int
bench_echo(const struct options *options)
{
    struct echo echo = {.options = options,
                        .topic = option_needed(options, "--topic"),
                        .back = option_needed(options, "--back")};
    const int64_t rate = option_number(options, "--rate", 200);
    const int64_t seconds = option_number(options, "--seconds", 15);
    pthread_t answerer;
    pthread_t hearer;

    samples_init(&echo.samples, (size_t)(rate * seconds));
    if (pthread_create(&answerer, NULL, answer_all, &echo) != 0 ||
        pthread_create(&hearer, NULL, hear_all, &echo) != 0)
        die("no thread");
    while (atomic_load(&echo.ready) < 2)
        sleep_until_ns(now_ns() + 1000000);
    const int64_t asked = ask_all(&echo, rate, seconds, option_number(options, "--every", 1));
    const int64_t until_ns = now_ns() + LAST_NS;

    while (atomic_load(&echo.answered) < asked && now_ns() < until_ns)
        sleep_until_ns(now_ns() + 1000000);
    atomic_store(&echo.done, true);
    (void)pthread_join(answerer, NULL);
    (void)pthread_join(hearer, NULL);
    if (atomic_load(&echo.answered) < asked)
        die("%" PRId64 " of %" PRId64 " came back", atomic_load(&echo.answered), asked);
    printf("{");
    samples_print(&echo.samples, "echo");
    printf("}\n");
    samples_free(&echo.samples);
    return 0;
}
