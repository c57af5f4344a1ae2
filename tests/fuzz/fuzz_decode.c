/*
 * Any bytes as a Kafka value, structured or with headers: the decoder ends, says the same twice,
 * and what it lets through keeps every promise of core/event.h.
 *
 * The first byte chooses: even, the rest is the value; odd, binary mode, the rest is cut at the
 * first two newlines into `ce_id`, `ce_type` and the value.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ingest/decode.h"
#include "ingest/member.h"

#define NOON_MS INT64_C(1772452800000)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Unlike assert, also with NDEBUG. */
#define PROMISE(condition)                                                          \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "broken promise, line %d: %s\n", __LINE__, #condition); \
            abort();                                                                \
        }                                                                           \
    } while (0)

struct input {
    struct header headers[6];
    size_t header_count;
};

static size_t
give_headers(const void *origin, struct header *out, size_t room)
{
    const struct input *input = origin;

    for (size_t i = 0; i < input->header_count && i < room; i++)
        out[i] = input->headers[i];
    return input->header_count;
}

static struct text
cut_line(struct text *rest)
{
    const char *end = rest->size == 0 ? NULL : memchr(rest->at, '\n', rest->size);
    const size_t size = end == NULL ? 0 : (size_t)(end - rest->at);
    const struct text line = {rest->at, size};

    if (end != NULL)
        *rest = (struct text){end + 1, rest->size - size - 1};
    return line;
}

static void
check_name(struct text name, size_t limit, bool needed)
{
    PROMISE(name.at != NULL || (!needed && name.size == 0));
    PROMISE(name.at == NULL || (name.size > 0 && name.size <= limit && text_is_clean(name)));
}

static void
check_usage(const struct event *event)
{
    for (int i = 0; i < USAGE_COUNT; i++) {
        PROMISE(event->usage[i] >= 0 && event->usage[i] <= COUNT_LIMIT);
        if ((event->has >> i & 1) == 0 && i != USAGE_REQUESTS)
            PROMISE(event->usage[i] == 0);
    }
    PROMISE(event->usage[USAGE_CACHE_READ_TOKENS] + event->usage[USAGE_CACHE_WRITE_TOKENS] <=
            event->usage[USAGE_INPUT_TOKENS]);
    PROMISE(event->usage[USAGE_REASONING_TOKENS] <= event->usage[USAGE_OUTPUT_TOKENS]);
}

static void
check_money(struct money amount)
{
    PROMISE(amount.nano <= MONEY_EVENT_LIMIT_NANO && amount.nano >= -MONEY_EVENT_LIMIT_NANO);
}

static void
check_kind(const struct event *event)
{
    const bool spends = event->kind == EVENT_RECORD || event->kind == EVENT_SETTLE;

    check_money(event->cost);
    check_money(event->topup.amount);
    check_money(event->decision.estimated_cost);
    PROMISE(event->kind == EVENT_REFUND ? event->cost.nano < 0 : event->cost.nano >= 0);
    check_name(event->names[NAME_REQUEST_ID], EVENT_ID_LIMIT, spends);
    check_name(event->reservation.id, EVENT_ID_LIMIT,
               event->kind == EVENT_SETTLE || event->kind == EVENT_RESERVE);
    check_name(event->refers.id, EVENT_ID_LIMIT,
               event->kind == EVENT_REFUND || event->kind == EVENT_CORRECT);
    check_name(event->topup.ref, EVENT_ID_LIMIT, event->kind == EVENT_TOPUP);
    check_name(event->value_name, EVENT_ID_LIMIT, event->kind == EVENT_VALUE);
    PROMISE(event->gauge_count <= EVENT_GAUGE_LIMIT);
    PROMISE((event->gauge_count > 0) == (event->kind == EVENT_GAUGE));
    /* What is kept has its data, and nothing that Postgres could not keep. */
    PROMISE((event->body.at == NULL) == (spends || event->kind == EVENT_REFUND));
    if (event->body.at != NULL)
        PROMISE(event->body.size >= 2 && event->body.at[0] == '{' &&
                event->body.at[event->body.size - 1] == '}' && text_is_utf8(event->body));
}

static void
check_event(const struct event *event)
{
    PROMISE(event->kind < EVENT_KIND_COUNT && event->status < STATUS_COUNT);
    check_name(event->id, EVENT_ID_LIMIT, true);
    check_name(event->source, EVENT_SOURCE_LIMIT, true);
    check_name(event->tenant, EVENT_ID_LIMIT, true);
    for (int i = 0; i < NAME_COUNT; i++)
        check_name(event->names[i], EVENT_ID_LIMIT, false);
    PROMISE(event->at_ms <= NOON_MS + DECODE_AHEAD_MS && event->at_ms >= NOON_MS - DECODE_AGE_MS);
    PROMISE(event->attempt >= 1 && event->attempt <= 255);
    PROMISE(event->http_status >= 0 && event->http_status <= 999);
    PROMISE(event->latency_ms >= -1 && event->latency_ms <= COUNT_LIMIT);
    PROMISE(event->sequence >= -1 && event->sequence <= COUNT_LIMIT);
    check_usage(event);
    check_kind(event);
}

/* Everything the decoder says about one record, as one number. */
static uint64_t
decode_all(struct decoder *decoder, const struct record *record)
{
    uint64_t said = 0;
    struct event event;
    struct dead dead;
    enum decoded decoded;
    size_t count = 0;

    decoder_open(decoder, record);
    while ((decoded = decoder_next(decoder, &event, &dead)) != DECODED_END) {
        said = said * 31 + (uint64_t)decoded;
        PROMISE(++count <= record->value.size + 1);
        if (decoded == DECODED_EVENT) {
            check_event(&event);
            said = said * 31 + (uint64_t)event.cost.nano + (uint64_t)event.kind + event.flags;
        } else if (decoded == DECODED_DEAD) {
            PROMISE(dead.reason < DEAD_COUNT);
            PROMISE(memchr(dead.detail, '\0', sizeof dead.detail) != NULL &&
                    dead.detail[0] != '\0');
            PROMISE(text_is_clean(text_of(dead.detail)));
            check_name(event.tenant, EVENT_ID_LIMIT, false);
            said = said * 31 + (uint64_t)dead.reason;
        }
    }
    PROMISE(count > 0);
    PROMISE(decoder_next(decoder, &event, &dead) == DECODED_END);
    return said;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct decoder *decoder;
    struct input input = {{{TEXT("ce_specversion"), TEXT("1.0")},
                           {TEXT("ce_source"), TEXT("//gw")},
                           {TEXT("ce_subject"), TEXT("acme")},
                           {TEXT("ce_time"), TEXT("2026-03-02T12:00:00Z")}},
                          0};

    if (decoder == NULL)
        decoder = decoder_new();
    if (decoder == NULL || size == 0)
        return 0;
    struct text value = {(const char *)bytes + 1, size - 1};

    if ((bytes[0] & 1) != 0) {
        input.headers[4] = (struct header){TEXT("ce_id"), cut_line(&value)};
        input.headers[5] = (struct header){TEXT("ce_type"), cut_line(&value)};
        input.header_count = 6;
    }
    const struct record record = {
        .time_ms = NOON_MS, .value = value, .headers = give_headers, .origin = &input};
    const uint64_t once = decode_all(decoder, &record);

    PROMISE(decode_all(decoder, &record) == once);
    return 0;
}
