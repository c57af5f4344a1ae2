#include "ingest/usage_data.h"

/* Members of data behind the texts of enum event_name, which come first. */
enum {
    AT_ATTEMPT = NAME_COUNT,
    AT_STATUS,
    AT_HTTP_STATUS,
    AT_LATENCY_MS,
    AT_STREAM,
    AT_ESTIMATED,
    AT_FINAL,
    AT_USAGE,
    AT_COST,
    AT_RESERVATION,
    AT_REFUND_OF,
    AT_SUPERSEDES,
    AT_DECISION,
    AT_TOPUP,
    AT_GAUGES,
    AT_VALUE,
    AT_COUNT
};

static const char *const other_names[AT_COUNT - NAME_COUNT] = {
    [AT_ATTEMPT - NAME_COUNT] = "attempt",
    [AT_STATUS - NAME_COUNT] = "status",
    [AT_HTTP_STATUS - NAME_COUNT] = "http_status",
    [AT_LATENCY_MS - NAME_COUNT] = "latency_ms",
    [AT_STREAM - NAME_COUNT] = "stream",
    [AT_ESTIMATED - NAME_COUNT] = "estimated",
    [AT_FINAL - NAME_COUNT] = "final",
    [AT_USAGE - NAME_COUNT] = "usage",
    [AT_COST - NAME_COUNT] = "cost",
    [AT_RESERVATION - NAME_COUNT] = "reservation",
    [AT_REFUND_OF - NAME_COUNT] = "refund_of",
    [AT_SUPERSEDES - NAME_COUNT] = "supersedes",
    [AT_DECISION - NAME_COUNT] = "decision",
    [AT_TOPUP - NAME_COUNT] = "topup",
    [AT_GAUGES - NAME_COUNT] = "gauges",
    [AT_VALUE - NAME_COUNT] = "value",
};

enum {
    RESERVATION_ID,
    RESERVATION_REASON,
    RESERVATION_COST,
    RESERVATION_TOKENS,
    RESERVATION_EXPIRES
};
static const char *const reservation_names[] = {"id", "reason", "cost", "tokens", "expires"};

enum { REFERS_ID, REFERS_SOURCE, REFERS_TIME };
static const char *const refers_names[] = {"id", "source", "time"};

enum {
    DECISION_OUTCOME,
    DECISION_REASON,
    DECISION_POLICY,
    DECISION_MODEL_TO,
    DECISION_ESTIMATED_COST
};
static const char *const decision_names[] = {"outcome", "reason", "policy", "model_to",
                                             "estimated_cost"};

enum { TOPUP_AMOUNT, TOPUP_REF };
static const char *const topup_names[] = {"amount", "ref"};

enum { VALUE_NAME };
static const char *const value_names[] = {"name"};

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])
#define BIT(slot)       (UINT64_C(1) << (slot))
#define NAMES           (BIT(NAME_COUNT) - 1) /* the slots of enum event_name */

/*
 * What a kind cannot be read without, and what it may carry beside the members every kind has.
 * A member that means nothing for a kind is ignored there, like an unknown one.
 */
static const struct kind_members {
    uint64_t needs;
    uint64_t takes;
    bool kept; /* stored one by one with its data */
} kinds[EVENT_KIND_COUNT] = {
    [EVENT_RECORD] = {BIT(NAME_REQUEST_ID) | BIT(AT_USAGE), BIT(AT_COST), false},
    [EVENT_SETTLE] = {BIT(NAME_REQUEST_ID) | BIT(AT_USAGE) | BIT(AT_RESERVATION),
                      BIT(AT_COST) | BIT(AT_FINAL), false},
    [EVENT_REFUND] = {BIT(AT_REFUND_OF) | BIT(AT_COST), BIT(AT_USAGE), false},
    [EVENT_CORRECT] = {BIT(AT_SUPERSEDES) | BIT(AT_USAGE), BIT(AT_COST), true},
    [EVENT_RESERVE] = {BIT(NAME_REQUEST_ID) | BIT(AT_RESERVATION), 0, true},
    [EVENT_RELEASE] = {BIT(AT_RESERVATION), 0, true},
    [EVENT_DECISION] = {BIT(NAME_REQUEST_ID) | BIT(AT_DECISION), 0, true},
    [EVENT_TOPUP] = {BIT(AT_TOPUP), 0, true},
    [EVENT_GAUGE] = {BIT(AT_GAUGES), 0, true},
    [EVENT_VALUE] = {BIT(AT_VALUE), 0, true},
};

/* What a reader of one member works with. */
struct reader {
    const struct usage_words *words;
    const struct reading *reading;
    const struct object *data;
    struct event *event;
    struct dead *dead;
};

void
usage_words_init(struct usage_words *words, struct vocabulary *names)
{
    for (int i = 0; i < AT_COUNT; i++)
        words->data_names[i] = i < NAME_COUNT ? event_name_members[i] : other_names[i - NAME_COUNT];
    members_init(&words->data, "data.", words->data_names, AT_COUNT, names);
    members_init(&words->usage, "data.usage.", usage_names, USAGE_COUNT, names);
    members_init(&words->reservation, "data.reservation.", reservation_names,
                 COUNT_OF(reservation_names), names);
    members_init(&words->refund_of, "data.refund_of.", refers_names, COUNT_OF(refers_names), names);
    members_init(&words->supersedes, "data.supersedes.", refers_names, COUNT_OF(refers_names),
                 names);
    members_init(&words->decision, "data.decision.", decision_names, COUNT_OF(decision_names),
                 names);
    members_init(&words->topup, "data.topup.", topup_names, COUNT_OF(topup_names), names);
    members_init(&words->value, "data.value.", value_names, COUNT_OF(value_names), names);
    vocabulary_add(&words->statuses, event_status_names, STATUS_COUNT);
}

bool
event_kind_is_kept(enum event_kind kind)
{
    return kinds[kind].kept;
}

/* A word that is not known says no more than none at all: the money was spent either way. */
static bool
read_status(struct reader *reader)
{
    struct text word = {NULL, 0};

    if (!object_text(reader->data, AT_STATUS, EVENT_ID_LIMIT, &word))
        return false;
    const unsigned known = vocabulary_find(&reader->words->statuses, word);

    if (known != 0)
        reader->event->status = (enum event_status)(known - 1);
    return true;
}

/* Measured, not counted: a fraction of a millisecond is cut off. */
static bool
read_latency(struct reader *reader)
{
    if (!object_has(reader->data, AT_LATENCY_MS))
        return true;
    const struct json_value *value = reader->data->value[AT_LATENCY_MS];

    if (value->type == JSON_DOUBLE && value->is.number >= 0 &&
        value->is.number <= (double)COUNT_LIMIT) {
        reader->event->latency_ms = (int64_t)value->is.number;
        return true;
    }
    return object_count(reader->data, AT_LATENCY_MS, &reader->event->latency_ms);
}

static bool
read_common(struct reader *reader)
{
    const struct object *data = reader->data;
    struct event *event = reader->event;

    for (uint64_t left = data->given & NAMES; left != 0; left &= left - 1) {
        const int i = __builtin_ctzll(left);

        if (text_is_plain(data->value[i], EVENT_ID_LIMIT))
            event->names[i] = data->value[i]->is.text;
        else if (!object_text(data, i, EVENT_ID_LIMIT, &event->names[i]))
            return false;
    }
    return object_small(data, AT_ATTEMPT, 1, 255, &event->attempt) && read_status(reader) &&
           object_small(data, AT_HTTP_STATUS, 0, 999, &event->http_status) &&
           read_latency(reader) && object_flag(data, AT_STREAM, EVENT_STREAM, &event->flags) &&
           object_flag(data, AT_ESTIMATED, EVENT_ESTIMATED, &event->flags);
}

static void
clamp(struct event *event, enum usage part, int64_t whole)
{
    if (event->usage[part] <= whole)
        return;
    event->usage[part] = whole;
    event->flags |= EVENT_CLAMPED;
}

static bool
read_usage(struct reader *reader)
{
    struct event *event = reader->event;
    struct object usage;

    if (!object_inner(reader->data, AT_USAGE, &reader->words->usage, reader->reading, &usage))
        return false;
    for (uint64_t left = usage.given; left != 0; left &= left - 1) {
        const int i = __builtin_ctzll(left);

        if (!object_count(&usage, i, &event->usage[i]))
            return false;
    }
    event->has = (unsigned)usage.given;
    clamp(event, USAGE_CACHE_READ_TOKENS, event->usage[USAGE_INPUT_TOKENS]);
    clamp(event, USAGE_CACHE_WRITE_TOKENS,
          event->usage[USAGE_INPUT_TOKENS] - event->usage[USAGE_CACHE_READ_TOKENS]);
    clamp(event, USAGE_REASONING_TOKENS, event->usage[USAGE_OUTPUT_TOKENS]);
    return true;
}

static bool
read_cost(struct reader *reader)
{
    struct event *event = reader->event;

    if (!object_has(reader->data, AT_COST))
        return true;
    if (!object_money(reader->data, AT_COST, &event->cost))
        return false;
    if (event->kind == EVENT_REFUND && event->cost.nano >= 0)
        return object_refuse(reader->data, AT_COST, DEAD_cost_range, "a refund must be negative");
    if (event->kind != EVENT_REFUND && event->cost.nano < 0)
        return object_refuse(reader->data, AT_COST, DEAD_cost_range,
                             "is negative; send a refund instead");
    event->flags |= EVENT_HAS_COST;
    return true;
}

static bool
read_refers(struct reader *reader, int slot, const struct members *known)
{
    struct event *event = reader->event;
    struct object refers;

    return object_inner(reader->data, slot, known, reader->reading, &refers) &&
           object_needs(&refers, BIT(REFERS_ID)) &&
           object_text(&refers, REFERS_ID, EVENT_ID_LIMIT, &event->refers.id) &&
           object_text(&refers, REFERS_SOURCE, EVENT_SOURCE_LIMIT, &event->refers.source) &&
           object_time(&refers, REFERS_TIME, &event->refers.at_ms);
}

static bool
read_reserved(const struct object *reservation, struct event *event)
{
    if (!object_has(reservation, RESERVATION_COST) && !object_has(reservation, RESERVATION_TOKENS))
        return object_refuse(reservation, RESERVATION_COST, DEAD_missing_member,
                             "is missing, and tokens too: one of them is needed");
    if (!object_money(reservation, RESERVATION_COST, &event->cost))
        return false;
    if (event->cost.nano < 0)
        return object_refuse(reservation, RESERVATION_COST, DEAD_cost_range, "is negative");
    if (object_has(reservation, RESERVATION_COST))
        event->flags |= EVENT_HAS_COST;
    return object_count(reservation, RESERVATION_TOKENS, &event->reservation.tokens) &&
           object_time(reservation, RESERVATION_EXPIRES, &event->reservation.expires_ms);
}

static bool
read_reservation(struct reader *reader)
{
    struct event *event = reader->event;
    struct object reservation;

    return object_inner(reader->data, AT_RESERVATION, &reader->words->reservation, reader->reading,
                        &reservation) &&
           object_needs(&reservation, BIT(RESERVATION_ID)) &&
           object_text(&reservation, RESERVATION_ID, EVENT_ID_LIMIT, &event->reservation.id) &&
           object_text(&reservation, RESERVATION_REASON, EVENT_ID_LIMIT,
                       &event->reservation.reason) &&
           (event->kind != EVENT_RESERVE || read_reserved(&reservation, event));
}

static bool
read_decision(struct reader *reader)
{
    static const char *const outcomes[] = {"allow", "throttle", "downgrade", "block"};
    struct event *event = reader->event;
    struct object decision;

    if (!object_inner(reader->data, AT_DECISION, &reader->words->decision, reader->reading,
                      &decision) ||
        !object_needs(&decision, BIT(DECISION_OUTCOME)) ||
        !object_text(&decision, DECISION_OUTCOME, EVENT_ID_LIMIT, &event->decision.outcome) ||
        !object_text(&decision, DECISION_REASON, EVENT_ID_LIMIT, &event->decision.reason) ||
        !object_text(&decision, DECISION_POLICY, EVENT_ID_LIMIT, &event->decision.policy) ||
        !object_text(&decision, DECISION_MODEL_TO, EVENT_ID_LIMIT, &event->decision.model_to) ||
        !object_money(&decision, DECISION_ESTIMATED_COST, &event->decision.estimated_cost))
        return false;
    event->decision.has_estimate = object_has(&decision, DECISION_ESTIMATED_COST);
    for (size_t i = 0; i < COUNT_OF(outcomes); i++)
        if (text_eq(event->decision.outcome, text_of(outcomes[i])))
            return true;
    return object_refuse(&decision, DECISION_OUTCOME, DEAD_bad_member,
                         "is none of allow, throttle, downgrade, block");
}

static bool
read_topup(struct reader *reader)
{
    struct event *event = reader->event;
    struct object topup;

    return object_inner(reader->data, AT_TOPUP, &reader->words->topup, reader->reading, &topup) &&
           object_needs(&topup, BIT(TOPUP_AMOUNT) | BIT(TOPUP_REF)) &&
           object_money(&topup, TOPUP_AMOUNT, &event->topup.amount) &&
           object_text(&topup, TOPUP_REF, EVENT_ID_LIMIT, &event->topup.ref);
}

static bool
read_value(struct reader *reader)
{
    struct object value;

    return object_inner(reader->data, AT_VALUE, &reader->words->value, reader->reading, &value) &&
           object_needs(&value, BIT(VALUE_NAME)) &&
           object_text(&value, VALUE_NAME, EVENT_ID_LIMIT, &reader->event->value_name);
}

static bool
read_gauge(struct reader *reader, struct text name, const struct json_value *value)
{
    struct event *event = reader->event;
    char quoted[QUOTED_SIZE];
    enum dead_reason reason;
    const char *what;
    int64_t count;

    if (name.size == 0)
        return refuse(reader->dead, DEAD_bad_member, "data.gauges: a gauge without a name");
    if (!text_is_usable(name, EVENT_ID_LIMIT, &reason, &what) ||
        !count_of(value, &count, &reason, &what))
        return refuse(reader->dead, reason, "data.gauges.%s: %s", text_quoted(name, quoted), what);
    if (event->gauge_count == EVENT_GAUGE_LIMIT)
        return refuse(reader->dead, DEAD_bad_member, "data.gauges: more than %d gauges",
                      EVENT_GAUGE_LIMIT);
    event->gauges[event->gauge_count++] = (struct event_gauge){name, count};
    return true;
}

static bool
read_gauges(struct reader *reader)
{
    const struct json_value *gauges = reader->data->value[AT_GAUGES];

    if (gauges->type != JSON_OBJECT)
        return object_refuse(reader->data, AT_GAUGES, DEAD_bad_member, "is no object");
    if (!value_is_unique(gauges, reader->reading, reader->dead))
        return false;
    for (const struct json_value *value = json_first(gauges); value != json_end(gauges);
         value = json_after(value))
        if (value->type != JSON_NULL && !read_gauge(reader, value->name, value))
            return false;
    if (reader->event->gauge_count == 0)
        return object_refuse(reader->data, AT_GAUGES, DEAD_missing_member, "names no gauge");
    return true;
}

/* What this kind ignores must still not name a member twice. */
static bool
check_ignored(const struct reader *reader, uint64_t used)
{
    for (uint64_t left = reader->data->given & ~used; left != 0; left &= left - 1)
        if (!value_is_unique(reader->data->value[__builtin_ctzll(left)], reader->reading,
                             reader->dead))
            return false;
    return true;
}

static bool
read_kind(struct reader *reader, uint64_t used)
{
    const struct object *data = reader->data;

    return ((used & data->given & BIT(AT_USAGE)) == 0 || read_usage(reader)) &&
           ((used & BIT(AT_COST)) == 0 || read_cost(reader)) &&
           ((used & BIT(AT_FINAL)) == 0 ||
            object_flag(data, AT_FINAL, EVENT_FINAL, &reader->event->flags)) &&
           ((used & BIT(AT_RESERVATION)) == 0 || read_reservation(reader)) &&
           ((used & BIT(AT_REFUND_OF)) == 0 ||
            read_refers(reader, AT_REFUND_OF, &reader->words->refund_of)) &&
           ((used & BIT(AT_SUPERSEDES)) == 0 ||
            read_refers(reader, AT_SUPERSEDES, &reader->words->supersedes)) &&
           ((used & BIT(AT_DECISION)) == 0 || read_decision(reader)) &&
           ((used & BIT(AT_TOPUP)) == 0 || read_topup(reader)) &&
           ((used & BIT(AT_GAUGES)) == 0 || read_gauges(reader)) &&
           ((used & BIT(AT_VALUE)) == 0 || read_value(reader));
}

/* What the engine assumes where the event says nothing. */
static void
set_defaults(struct event *event)
{
    event->attempt = 1;
    event->latency_ms = -1;
    event->refers.at_ms = -1;
    event->reservation.tokens = -1;
    event->reservation.expires_ms = -1;
    if (event->kind == EVENT_SETTLE)
        event->flags |= EVENT_FINAL;
    if (event->kind == EVENT_RECORD || event->kind == EVENT_SETTLE)
        event->usage[USAGE_REQUESTS] = 1;
}

bool
usage_data_read(const struct usage_words *words, const struct json_value *data,
                const struct reading *reading, struct event *event, struct dead *dead)
{
    const struct kind_members *kind = &kinds[event->kind];
    struct object members;
    struct reader reader = {words, reading, &members, event, dead};
    const uint64_t common = BIT(AT_FINAL) - 1;
    const uint64_t used = common | kind->needs | kind->takes;

    if (data->type != JSON_OBJECT)
        return refuse(dead, DEAD_bad_member, "data: is no object");
    set_defaults(event);
    return object_read(&members, &words->data, data, reading, dead) &&
           object_needs(&members, kind->needs) && read_common(&reader) &&
           read_kind(&reader, used) && check_ignored(&reader, used);
}
