/*
 * How soon a decision is out, and an event in Postgres, while events come at a steady rate.
 *
 * Tenants b-<n> have a plan of --limit requests: each sends exactly so many, and the last one, the
 * trigger, must bring a block for tenant/b-<n> to the control topic.  Many such tenants are under
 * way at once and out of step, so that one event in --every is a trigger.  A marker tenant sends one
 * event in a hundred; its total in Postgres says which of them are visible.  The rest is spread
 * over tenants without a limit.
 */
#include "tests/bench/bench.h"
#include "tests/bench/um1.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK_EVERY 100 /* events for one of the marker's */
#define UNDER_WAY  100 /* tenants on their way to the limit */
#define OTHERS     1000
#define WARM_NS    INT64_C(1000000000)
#define LAST_NS    INT64_C(60000000000) /* how long the last ones may take */
#define POLL_NS    INT64_C(5000000)

struct latency {
    const struct options *options;
    int64_t rate;
    int64_t events;
    int64_t limit; /* requests */
    int64_t every; /* events for one trigger */
    int64_t start_ns;
    struct um1 um1;
    _Atomic int64_t *trigger_ns; /* by b-<n>: when its last event was handed over, 0: not yet */
    _Atomic int64_t *block_ns;   /* when its block was seen */
    int64_t tenant_count;
    _Atomic int64_t blocks;
    _Atomic int64_t *mark_ns; /* by number of the marker's event */
    _Atomic int64_t *visible_ns;
    int64_t mark_count;
    _Atomic int64_t visible;
    _Atomic int64_t ready; /* watchers that have begun */
    int64_t late_ns;       /* the sender was behind its time table, at most */
    atomic_bool done;
};

/* ---- who watches ------------------------------------------------------------------------------ */

static bool
contains(const void *bytes, size_t size, const char *part)
{
    const size_t part_size = strlen(part);

    for (size_t i = 0; i + part_size <= size; i++)
        if (memcmp((const char *)bytes + i, part, part_size) == 0)
            return true;
    return false;
}

static void
note_block(struct latency *latency, const rd_kafka_message_t *message)
{
    static const char prefix[] = "tenant/b-";
    char number[24] = "";
    const size_t before = sizeof prefix - 1;

    if (message->key_len <= before || message->key_len - before >= sizeof number ||
        memcmp(message->key, prefix, before) != 0 ||
        !contains(message->payload, message->len, "\"outcome\":\"block\""))
        return;
    memcpy(number, (const char *)message->key + before, message->key_len - before);
    const int64_t tenant = strtoll(number, NULL, 10);

    if (tenant < latency->tenant_count && atomic_load(&latency->block_ns[tenant]) == 0) {
        atomic_store(&latency->block_ns[tenant], now_ns());
        atomic_fetch_add(&latency->blocks, 1);
    }
}

static void *
watch_control(void *opaque)
{
    struct latency *latency = opaque;
    const char *topic = option_needed(latency->options, "--control");
    rd_kafka_t *client = consumer_new(latency->options);
    rd_kafka_queue_t *queue =
        consumer_read(client, topic, topic_partitions(client, topic), RD_KAFKA_OFFSET_BEGINNING);

    atomic_fetch_add(&latency->ready, 1);
    while (!atomic_load(&latency->done)) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(queue, 100);

        if (message == NULL)
            continue;
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            die("%s", rd_kafka_message_errstr(message));
        note_block(latency, message);
        rd_kafka_message_destroy(message);
    }
    (void)rd_kafka_assign(client, NULL);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return NULL;
}

static int64_t
marks_in_postgres(PGconn *postgres)
{
    PGresult *result = PQexecPrepared(postgres, "marks", 0, NULL, NULL, NULL, 0);

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        die("postgres: %s", PQerrorMessage(postgres));
    const int64_t count = PQntuples(result) > 0 ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0;

    PQclear(result);
    return count;
}

static void *
watch_postgres(void *opaque)
{
    struct latency *latency = opaque;
    PGconn *postgres = PQconnectdb(option_needed(latency->options, "--postgres"));
    int64_t seen = 0;

    PQclear(PQprepare(postgres, "marks",
                      "SELECT requests FROM tripmeter.period_total"
                      " WHERE tenant = 'm-0' AND project = ''",
                      0, NULL));
    atomic_fetch_add(&latency->ready, 1);
    for (int64_t at_ns = now_ns(); !atomic_load(&latency->done); at_ns += POLL_NS) {
        sleep_until_ns(at_ns);
        const int64_t count = marks_in_postgres(postgres);
        const int64_t found_ns = now_ns();

        for (; seen < count && seen < latency->mark_count; seen++)
            atomic_store(&latency->visible_ns[seen], found_ns);
        atomic_store(&latency->visible, seen);
    }
    PQfinish(postgres);
    return NULL;
}

/* ---- who sends -------------------------------------------------------------------------------- */

/* Whose turn it is, in steps of one event. */
struct plan {
    int64_t sent;
    int64_t bursts;            /* events of tenants on their way to the limit */
    int64_t tenant[UNDER_WAY]; /* -1: one that only puts this place out of step */
    int64_t used[UNDER_WAY];
    int64_t next_tenant;
    int64_t marks;
};

static void
plan_init(const struct latency *latency, struct plan *plan)
{
    *plan = (struct plan){0};
    for (int64_t i = 0; i < UNDER_WAY; i++) {
        plan->tenant[i] = -1 - i;
        plan->used[i] = i % latency->limit;
    }
}

/* One step of a tenant on its way; what is to be noted as handed over, or NULL. */
static _Atomic int64_t *
plan_burst(struct latency *latency, struct plan *plan, struct um1_event *event)
{
    const int64_t place = plan->bursts++ % UNDER_WAY;
    const int64_t tenant = plan->tenant[place];
    const bool last = ++plan->used[place] >= latency->limit;

    event->prefix = tenant < 0 ? 'w' : 'b';
    event->tenant = (int)(tenant < 0 ? -tenant : tenant);
    if (!last)
        return NULL;
    plan->used[place] = 0;
    plan->tenant[place] = plan->next_tenant++;
    return tenant < 0 ? NULL : &latency->trigger_ns[tenant];
}

static _Atomic int64_t *
plan_next(struct latency *latency, struct plan *plan, struct um1_event *event)
{
    const int64_t turn = plan->sent++;

    um1_make(&latency->um1, turn, event);
    event->at_ms = wall_ms();
    event->tenant %= OTHERS;
    if (turn % MARK_EVERY == MARK_EVERY - 1) {
        event->prefix = 'm';
        event->tenant = 0;
        return &latency->mark_ns[plan->marks++];
    }
    /* `limit` events in `every`, evenly mixed with the others. */
    if (turn * latency->limit % latency->every < latency->limit)
        return plan_burst(latency, plan, event);
    return NULL;
}

static void
on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    (void)opaque;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        die("not delivered: %s", rd_kafka_err2str(message->err));
}

static void
send_all(struct latency *latency, struct plan *plan)
{
    rd_kafka_t *producer = producer_prompt(latency->options, on_delivery, NULL);
    rd_kafka_topic_t *topic =
        rd_kafka_topic_new(producer, option_needed(latency->options, "--topic"), NULL);
    struct um1_writer writer = {.day = -1};

    plan_init(latency, plan);
    latency->start_ns = now_ns();
    for (int64_t i = 0; i < latency->events; i++) {
        const int64_t due_ns = latency->start_ns + i * 1000000000 / latency->rate;
        struct um1_event event;
        _Atomic int64_t *note = plan_next(latency, plan, &event);
        char value[UM1_SIZE];
        char subject[24];
        const size_t size = um1_write(&writer, &event, value, subject);

        sleep_until_ns(due_ns);
        const int64_t handed_ns = now_ns();

        if (handed_ns - due_ns > latency->late_ns)
            latency->late_ns = handed_ns - due_ns;
        if (note != NULL)
            atomic_store(note, handed_ns);
        produce_at_last(producer, topic, subject, value, size);
    }
    (void)rd_kafka_flush(producer, 60000);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(producer);
}

/* ---- what came of it -------------------------------------------------------------------------- */

static int64_t
triggers(const struct latency *latency)
{
    int64_t count = 0;

    for (int64_t i = 0; i < latency->tenant_count; i++)
        count += atomic_load(&latency->trigger_ns[i]) > 0;
    return count;
}

static void
print_times(const struct latency *latency, const char *name, _Atomic int64_t *from,
            _Atomic int64_t *to, int64_t count)
{
    struct samples samples;

    samples_init(&samples, (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        const int64_t from_ns = atomic_load(&from[i]);
        const int64_t to_ns = atomic_load(&to[i]);

        if (from_ns > latency->start_ns + WARM_NS && to_ns > 0)
            samples_add(&samples, to_ns - from_ns);
    }
    samples_print(&samples, name);
    samples_free(&samples);
}

static _Atomic int64_t *
times(int64_t count)
{
    _Atomic int64_t *made = calloc((size_t)count, sizeof *made);

    if (made == NULL)
        die("memory is short");
    return made;
}

static void
report(const struct latency *latency, int64_t wanted, int64_t marks)
{
    printf("{\"sent\":%" PRId64 ",\"sender_late_ms\":%.3f,\"triggers\":%" PRId64
           ",\"blocks\":%" PRId64 ",\"marks\":%" PRId64 ",\"marks_visible\":%" PRId64 ",",
           latency->events, (double)latency->late_ns / 1e6, wanted, atomic_load(&latency->blocks),
           marks, atomic_load(&latency->visible));
    print_times(latency, "decision", latency->trigger_ns, latency->block_ns, latency->tenant_count);
    printf(",");
    print_times(latency, "visible", latency->mark_ns, latency->visible_ns, latency->mark_count);
    printf("}\n");
}

int
bench_latency(const struct options *options)
{
    struct latency *latency = calloc(1, sizeof *latency);
    struct plan plan;
    pthread_t control;
    pthread_t postgres;

    if (latency == NULL)
        die("memory is short");
    latency->options = options;
    latency->rate = option_number(options, "--rate", 5000);
    latency->events = latency->rate * option_number(options, "--seconds", 15);
    latency->limit = option_number(options, "--limit", 20);
    latency->every = option_number(options, "--every", 50);
    if (latency->limit < 1 || latency->limit >= latency->every || latency->events < latency->every)
        die("--limit must be below --every, and there must be more events");
    um1_init(&latency->um1, 1, latency->events);
    latency->tenant_count = latency->events / latency->every + UNDER_WAY + 1;
    latency->mark_count = latency->events / MARK_EVERY + 1;
    latency->trigger_ns = times(latency->tenant_count);
    latency->block_ns = times(latency->tenant_count);
    latency->mark_ns = times(latency->mark_count);
    latency->visible_ns = times(latency->mark_count);
    if (pthread_create(&control, NULL, watch_control, latency) != 0 ||
        pthread_create(&postgres, NULL, watch_postgres, latency) != 0)
        die("no thread");
    while (atomic_load(&latency->ready) < 2)
        sleep_until_ns(now_ns() + 1000000);
    send_all(latency, &plan);
    const int64_t wanted = triggers(latency);
    const int64_t until_ns = now_ns() + LAST_NS;

    while (
        (atomic_load(&latency->blocks) < wanted || atomic_load(&latency->visible) < plan.marks) &&
        now_ns() < until_ns)
        sleep_until_ns(now_ns() + 1000000);
    atomic_store(&latency->done, true);
    (void)pthread_join(control, NULL);
    (void)pthread_join(postgres, NULL);
    report(latency, wanted, plan.marks);
    free(latency->trigger_ns);
    free(latency->block_ns);
    free(latency->mark_ns);
    free(latency->visible_ns);
    free(latency);
    return 0;
}
