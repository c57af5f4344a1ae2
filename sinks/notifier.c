#include "sinks/notifier.h"

#include "config/failpoint.h"
#include "config/log.h"
#include "config/now.h"
#include "sinks/email.h"
#include "sinks/outbox.h"
#include "sinks/webhook.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <threads.h>

enum {
    SLOT_COUNT = 16,        /* messages under way at once */
    SLOT_MEMORY = 1 << 20,  /* bytes of one message */
    POLL_MS = 250,          /* longest time until new work is seen without a wake-up */
    CONNECT_FIRST_MS = 250, /* wait before Postgres is asked again, doubled up to the last */
    CONNECT_LAST_MS = 10000,
    ROUTE_AGAIN_MS = 5000, /* after a transition could not be routed */
    SWEEP_MS = 60000,
};

/* free -> claimed and sent (under way) -> over, outcome not yet written down -> free */
enum slot_state { SLOT_FREE, SLOT_SENDING, SLOT_OVER };

struct slot {
    enum slot_state state;
    enum endpoint_kind kind;
    struct arena *arena;
    struct delivery delivery;
    struct transfer transfer;
    struct attempt attempt;
};

struct notifier {
    thrd_t thread;
    struct metric_set *metrics;
    CURLM *multi;

    mtx_t lock; /* of the members up to stop_at_ms */
    cnd_t changed;
    const struct config *wanted;  /* what reconfigure asked for */
    const struct config *adopted; /* what the thread works with */
    bool stopping;
    int64_t stop_at_ms; /* monotonic */

    /* Everything below belongs to the thread. */
    const struct config *config;
    struct outbox *outbox; /* NULL: not connected */
    struct slot slots[SLOT_COUNT];
    int64_t connect_at_ms;
    int64_t connect_wait_ms;
    int64_t sweep_at_ms;
    int64_t route_at_ms;
};

/* ---- one message ----------------------------------------------------------------------------- */

static const struct endpoint *
find_endpoint(const struct config *config, struct text name)
{
    for (size_t r = 0; r < config->alerts.receiver_count; r++) {
        const struct receiver *receiver = &config->alerts.receivers[r];

        for (size_t i = 0; i < receiver->endpoint_count; i++)
            if (text_eq(name, text_of(receiver->endpoints[i].name)))
                return &receiver->endpoints[i];
    }
    return NULL;
}

static bool
prepare(struct notifier *notifier, struct slot *slot, struct err *why)
{
    const struct endpoint *endpoint = find_endpoint(notifier->config, slot->delivery.endpoint);

    if (endpoint == NULL)
        return err_set(why, ERR_INPUT, "the endpoint is not configured any more");
    slot->kind = endpoint->kind;
    if (endpoint->kind == ENDPOINT_EMAIL)
        return email_prepare(&slot->transfer, notifier->config, endpoint, &slot->delivery, why);
    return webhook_prepare(&slot->transfer, notifier->config, endpoint, &slot->delivery,
                           now_wall_ms(), why);
}

static void
send_slot(struct notifier *notifier, struct slot *slot)
{
    struct err why;

    slot->state = SLOT_SENDING;
    if (!prepare(notifier, slot, &why)) {
        attempt_say(&slot->attempt, VERDICT_RETRY, why.text, "");
        slot->state = SLOT_OVER;
    } else if (curl_multi_add_handle(notifier->multi, slot->transfer.easy) != CURLM_OK) {
        attempt_say(&slot->attempt, VERDICT_RETRY, "out of memory", "");
        slot->state = SLOT_OVER;
    }
}

static void
end_transfer(struct notifier *notifier, CURL *easy, CURLcode code)
{
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        struct slot *slot = &notifier->slots[i];

        if (slot->state != SLOT_SENDING || slot->transfer.easy != easy)
            continue;
        if (slot->kind == ENDPOINT_EMAIL)
            email_verdict(&slot->transfer, code, &slot->attempt);
        else
            webhook_verdict(&slot->transfer, code, &slot->attempt);
        metric_add(notifier->metrics, METRIC_CHARACTERS_REMOVED, (int64_t)slot->transfer.removed);
        (void)curl_multi_remove_handle(notifier->multi, easy);
        transfer_free(&slot->transfer);
        slot->state = SLOT_OVER;
        return;
    }
}

static void
report(struct notifier *notifier, const struct slot *slot, enum fate fate)
{
    static const enum metric metrics[] = {[FATE_DELIVERED] = METRIC_DELIVERED,
                                          [FATE_RETRY] = METRIC_DELIVERY_RETRY,
                                          [FATE_DEAD] = METRIC_DELIVERY_DEAD};
    static const char *const events[] = {[FATE_DELIVERED] = "alert_delivered",
                                         [FATE_RETRY] = "alert_delivery_failed",
                                         [FATE_DEAD] = "alert_delivery_dead",
                                         [FATE_STALE] = "alert_delivery_lease_lost"};
    static const enum log_level levels[] = {[FATE_DELIVERED] = LOG_INFO,
                                            [FATE_RETRY] = LOG_WARNING,
                                            [FATE_DEAD] = LOG_ERROR,
                                            [FATE_STALE] = LOG_WARNING};
    char endpoint[LOG_QUOTE_SIZE];
    char group[LOG_QUOTE_SIZE];
    char error[LOG_QUOTE_SIZE];

    if (fate != FATE_STALE)
        metric_add(notifier->metrics, metrics[fate], 1);
    log_line(levels[fate], events[fate], "id=%s endpoint=%s group=%s attempt=%d error=%s",
             slot->delivery.id, log_quote(slot->delivery.endpoint, endpoint),
             log_quote(slot->delivery.group, group), slot->delivery.attempts,
             log_quote(text_of(slot->attempt.text), error));
}

/* ---- Postgres -------------------------------------------------------------------------------- */

static void
disconnect(struct notifier *notifier, const struct err *why)
{
    char error[LOG_QUOTE_SIZE];

    log_warning("notifier_disconnected", "error=%s", log_quote(text_of(why->text), error));
    outbox_close(notifier->outbox);
    notifier->outbox = NULL;
    notifier->connect_at_ms = now_steady_ms() + notifier->connect_wait_ms;
    notifier->connect_wait_ms *= 2;
    if (notifier->connect_wait_ms > CONNECT_LAST_MS)
        notifier->connect_wait_ms = CONNECT_LAST_MS;
}

/* What any failed statement leads to: the connection is opened anew, after a while that grows until
 * something succeeds.  Nothing is lost by it: what was not committed was not done. */
static bool
connected(struct notifier *notifier)
{
    struct err why;

    if (notifier->outbox != NULL)
        return true;
    if (now_steady_ms() < notifier->connect_at_ms)
        return false;
    notifier->outbox = outbox_open(notifier->config, &why);
    if (notifier->outbox != NULL && outbox_endpoints(notifier->outbox, notifier->config, &why))
        return true;
    disconnect(notifier, &why);
    return false;
}

/* Writes down what became of messages. False when the connection failed. */
static bool
finish_slots(struct notifier *notifier, struct err *why)
{
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        struct slot *slot = &notifier->slots[i];
        enum fate fate = FATE_STALE;

        if (slot->state != SLOT_OVER)
            continue;
        if (!failpoint(FAIL_outbox_sent, -1) &&
            !outbox_finish(notifier->outbox, &slot->delivery, &slot->attempt, &fate, why))
            return false;
        (void)failpoint(FAIL_outbox_marked, -1);
        report(notifier, slot, fate);
        arena_clear(slot->arena);
        slot->state = SLOT_FREE;
    }
    return true;
}

/* -1: the connection failed; 1: there may be more; 0: nothing more for now. */
static int
route(struct notifier *notifier, struct err *why)
{
    const int64_t now_ms = now_steady_ms();
    char error[LOG_QUOTE_SIZE];

    if (now_ms < notifier->route_at_ms)
        return 0;
    const int done = outbox_route(notifier->outbox, notifier->config, why);

    if (done >= 0 || outbox_broken(notifier->outbox))
        return done;
    /* What is frozen already is delivered all the same. */
    log_error("alert_not_routed", "error=%s", log_quote(text_of(why->text), error));
    notifier->route_at_ms = now_ms + ROUTE_AGAIN_MS;
    return 0;
}

/* -1, 1: something was claimed, 0. */
static int
claim(struct notifier *notifier, struct err *why)
{
    int any = 0;

    for (size_t i = 0; i < SLOT_COUNT; i++) {
        struct slot *slot = &notifier->slots[i];

        if (slot->state != SLOT_FREE)
            continue;
        arena_clear(slot->arena);
        const int claimed =
            outbox_claim(notifier->outbox, notifier->config, slot->arena, &slot->delivery, why);

        if (claimed <= 0)
            return claimed < 0 ? -1 : any;
        if (!failpoint(FAIL_outbox_leased, -1))
            send_slot(notifier, slot);
        any = 1;
    }
    return any;
}

static bool
sweep(struct notifier *notifier, struct err *why)
{
    const int64_t now_ms = now_steady_ms();

    if (now_ms < notifier->sweep_at_ms)
        return true;
    notifier->sweep_at_ms = now_ms + SWEEP_MS;
    return outbox_sweep(notifier->outbox, notifier->config, why);
}

/* One round of work in Postgres; true when another should follow at once. */
static bool
work(struct notifier *notifier, bool stopping)
{
    struct err why;
    int routed = 0;
    int claimed = 0;

    if (!connected(notifier))
        return false;
    if (!finish_slots(notifier, &why))
        goto failed;
    if (!stopping) {
        if ((routed = route(notifier, &why)) < 0 || (claimed = claim(notifier, &why)) < 0 ||
            !sweep(notifier, &why))
            goto failed;
    }
    notifier->connect_wait_ms = CONNECT_FIRST_MS;
    return routed > 0 || claimed > 0;
failed:
    disconnect(notifier, &why);
    return false;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void
harvest(struct notifier *notifier)
{
    int running = 0;
    int left = 0;
    CURLMsg *message;

    (void)curl_multi_perform(notifier->multi, &running);
    while ((message = curl_multi_info_read(notifier->multi, &left)) != NULL)
        if (message->msg == CURLMSG_DONE)
            end_transfer(notifier, message->easy_handle, message->data.result);
}

static bool
all_free(const struct notifier *notifier)
{
    for (size_t i = 0; i < SLOT_COUNT; i++)
        if (notifier->slots[i].state != SLOT_FREE)
            return false;
    return true;
}

static bool
any_over(const struct notifier *notifier)
{
    for (size_t i = 0; i < SLOT_COUNT; i++)
        if (notifier->slots[i].state == SLOT_OVER)
            return true;
    return false;
}

/* Takes over what others asked for. True when it is time to end. */
static bool
listen_to_others(struct notifier *notifier, bool *stopping)
{
    struct err why;

    (void)mtx_lock(&notifier->lock);
    const struct config *wanted = notifier->wanted;

    *stopping = notifier->stopping;
    const bool late = *stopping && now_steady_ms() >= notifier->stop_at_ms;

    (void)mtx_unlock(&notifier->lock);
    if (wanted != notifier->config) {
        notifier->config = wanted;
        /* Messages under way carry copies of what they need of the old one. */
        if (notifier->outbox != NULL && !outbox_endpoints(notifier->outbox, wanted, &why))
            disconnect(notifier, &why);
        (void)mtx_lock(&notifier->lock);
        notifier->adopted = wanted;
        (void)cnd_broadcast(&notifier->changed);
        (void)mtx_unlock(&notifier->lock);
    }
    return late || (*stopping && all_free(notifier));
}

static int
run(void *context)
{
    struct notifier *notifier = context;
    bool stopping = false;

    while (!listen_to_others(notifier, &stopping)) {
        const bool more = work(notifier, stopping);

        harvest(notifier);
        /* curl wakes up by itself when a transfer needs it, notifier_wake when somebody else does. */
        if (!more && !(any_over(notifier) && notifier->outbox != NULL))
            (void)curl_multi_poll(notifier->multi, NULL, 0, POLL_MS, NULL);
    }
    return 0;
}

/* ---- the outside ----------------------------------------------------------------------------- */

static void
free_notifier(struct notifier *notifier)
{
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        struct slot *slot = &notifier->slots[i];

        /* What is still under way is given up: its lease ends, and it is sent again. */
        if (slot->state == SLOT_SENDING) {
            (void)curl_multi_remove_handle(notifier->multi, slot->transfer.easy);
            transfer_free(&slot->transfer);
        }
        arena_free(slot->arena);
    }
    outbox_close(notifier->outbox);
    (void)curl_multi_cleanup(notifier->multi);
    cnd_destroy(&notifier->changed);
    mtx_destroy(&notifier->lock);
    free(notifier);
}

static struct notifier *
new_notifier(void)
{
    struct notifier *notifier = calloc(1, sizeof *notifier);

    if (notifier == NULL)
        return NULL;
    if (mtx_init(&notifier->lock, mtx_plain) != thrd_success) {
        free(notifier);
        return NULL;
    }
    if (cnd_init(&notifier->changed) != thrd_success) {
        mtx_destroy(&notifier->lock);
        free(notifier);
        return NULL;
    }
    return notifier;
}

static void
start_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct notifier *
notifier_start(const struct config *config, struct metric_set *metrics)
{
    static once_flag once = ONCE_FLAG_INIT;
    struct notifier *notifier = new_notifier();

    if (notifier == NULL)
        return NULL;
    call_once(&once, start_curl);
    notifier->wanted = config;
    notifier->adopted = config;
    notifier->config = config;
    notifier->metrics = metrics;
    notifier->connect_wait_ms = CONNECT_FIRST_MS;
    notifier->multi = curl_multi_init();
    bool complete = notifier->multi != NULL;

    for (size_t i = 0; i < SLOT_COUNT && complete; i++)
        complete = (notifier->slots[i].arena = arena_new(SLOT_MEMORY)) != NULL;
    if (!complete || thrd_create(&notifier->thread, run, notifier) != thrd_success) {
        free_notifier(notifier);
        return NULL;
    }
    return notifier;
}

void
notifier_wake(struct notifier *notifier)
{
    (void)curl_multi_wakeup(notifier->multi);
}

void
notifier_reconfigure(struct notifier *notifier, const struct config *config)
{
    (void)mtx_lock(&notifier->lock);
    notifier->wanted = config;
    (void)curl_multi_wakeup(notifier->multi);
    /* The old one may be freed when we return. */
    while (notifier->adopted != config)
        (void)cnd_wait(&notifier->changed, &notifier->lock);
    (void)mtx_unlock(&notifier->lock);
}

void
notifier_stop(struct notifier *notifier, int64_t deadline_ms)
{
    if (notifier == NULL)
        return;
    (void)mtx_lock(&notifier->lock);
    notifier->stopping = true;
    notifier->stop_at_ms = now_steady_ms() + deadline_ms;
    (void)mtx_unlock(&notifier->lock);
    (void)curl_multi_wakeup(notifier->multi);
    (void)thrd_join(notifier->thread, NULL);
    free_notifier(notifier);
}
