#include "ingest/explain.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/clock.h"

/* What whoever sends the event does about it. */
static const char *const remedies[DEAD_COUNT] = {
    [DEAD_not_json] = "send one JSON object or array per Kafka value (in a file: per line)",
    [DEAD_duplicate_member] = "name every member once; which of the two was meant cannot be known",
    [DEAD_too_deep] = "flatten the members that the engine does not use",
    [DEAD_too_large] = "leave prompts and answers out; an event needs about 500 bytes",
    [DEAD_not_utf8] = "encode the value as UTF-8",
    [DEAD_control_character] = "remove control characters from ids and names",
    [DEAD_not_an_event] = "send CloudEvents 1.0, in binary mode with ce_ headers (a file has none)",
    [DEAD_unknown_kind] = "use a kind of schemas/usage-event.v1.json: <prefix>.usage.<kind>.v1",
    [DEAD_missing_member] = "add the member; null and the empty text count as missing",
    [DEAD_bad_member] = "send the member as schemas/usage-event.v1.json describes it",
    [DEAD_count_range] = "send counts as whole numbers from 0 to 2^53-1",
    [DEAD_cost_range] = "send amounts as decimal text; only refunds are negative",
    [DEAD_bad_time] = "send times as RFC 3339 with a zone: 2026-03-02T12:00:00Z",
    [DEAD_time_ahead] = "set the gateway's clock; the event can be read again later",
    [DEAD_too_old] = "book what is older than 400 days by hand",
    [DEAD_id_conflict] = "use a new id for what is not a re-send",
    [DEAD_original_unknown] = "send the original first; then this one can be read again",
    [DEAD_overflow] = "look for a count or an amount that cannot be true",
    [DEAD_refused_by_database] = "look into the log of Postgres; then it can be read again",
    [DEAD_quarantined] = "report it with the record's position; then it can be read again",
};

static void
print_text(FILE *out, const char *what, struct text text)
{
    if (text.at != NULL)
        fprintf(out, "  %-16s %.*s\n", what, (int)text.size, text.at);
}

static void
print_count(FILE *out, const char *what, int64_t count)
{
    fprintf(out, "  %-16s %" PRId64 "\n", what, count);
}

/* A time or count that is -1 when absent. */
static void
print_time(FILE *out, const char *what, int64_t at_ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (at_ms >= 0)
        fprintf(out, "  %-16s %s\n", what, clock_format(at_ms, text));
}

static void
print_money(FILE *out, const char *what, struct money amount, struct text currency)
{
    char text[TALLY_TEXT_SIZE];

    fprintf(out, "  %-16s %s", what, tally_format_money(amount.nano, text));
    if (currency.at != NULL)
        fprintf(out, " %.*s", (int)currency.size, currency.at);
    fputc('\n', out);
}

static void
print_identity(FILE *out, const struct event *event)
{
    print_text(out, "tenant", event->tenant);
    print_text(out, "source", event->source);
    print_text(out, "id", event->id);
}

static void
print_usage(FILE *out, const struct event *event)
{
    for (int i = 0; i < USAGE_COUNT; i++)
        if ((event->has >> i & 1) != 0 || event->usage[i] != 0)
            print_count(out, usage_names[i], event->usage[i]);
}

static void
print_flags(FILE *out, const struct event *event)
{
    static const struct {
        enum event_flag flag;
        const char *what;
    } flags[] = {
        {EVENT_STREAM, "streamed"},
        {EVENT_ESTIMATED, "counts are estimated by the gateway"},
        {EVENT_CLAMPED, "cached or reasoning tokens were more than the whole: clamped"},
    };

    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if ((event->flags & flags[i].flag) != 0)
            fprintf(out, "  %-16s %s\n", "flag", flags[i].what);
}

/* What costs money or takes it back. */
static void
print_spending(FILE *out, const struct event *event)
{
    print_usage(out, event);
    if ((event->flags & EVENT_HAS_COST) != 0)
        print_money(out, "cost", event->cost, event->names[NAME_CURRENCY]);
    else
        fprintf(out, "  %-16s none: by the price list, else unpriced\n", "cost");
    print_text(out, "original", event->refers.id);
    print_text(out, "original's source", event->refers.source);
    print_time(out, "original's time", event->refers.at_ms);
    print_text(out, "reservation", event->reservation.id);
    if (event->kind == EVENT_SETTLE)
        fprintf(out, "  %-16s %s\n", "final", (event->flags & EVENT_FINAL) != 0 ? "yes" : "no");
}

static void
print_reservation(FILE *out, const struct event *event)
{
    print_text(out, "reservation", event->reservation.id);
    print_text(out, "reason", event->reservation.reason);
    if ((event->flags & EVENT_HAS_COST) != 0)
        print_money(out, "held", event->cost, event->names[NAME_CURRENCY]);
    if (event->reservation.tokens >= 0)
        print_count(out, "tokens held", event->reservation.tokens);
    print_time(out, "expires", event->reservation.expires_ms);
}

static void
print_decision(FILE *out, const struct event *event)
{
    print_text(out, "outcome", event->decision.outcome);
    print_text(out, "reason", event->decision.reason);
    print_text(out, "policy", event->decision.policy);
    print_text(out, "model to", event->decision.model_to);
    if (event->decision.has_estimate)
        print_money(out, "estimated cost", event->decision.estimated_cost,
                    event->names[NAME_CURRENCY]);
}

static void
print_kind(FILE *out, const struct event *event)
{
    switch (event->kind) {
    case EVENT_RECORD:
    case EVENT_SETTLE:
    case EVENT_REFUND:
    case EVENT_CORRECT:
        print_spending(out, event);
        break;
    case EVENT_RESERVE:
    case EVENT_RELEASE:
        print_reservation(out, event);
        break;
    case EVENT_DECISION:
        print_decision(out, event);
        break;
    case EVENT_TOPUP:
        print_money(out, "amount", event->topup.amount, event->names[NAME_CURRENCY]);
        print_text(out, "ref", event->topup.ref);
        break;
    case EVENT_GAUGE:
        for (size_t i = 0; i < event->gauge_count; i++)
            fprintf(out, "  gauge %.*s = %" PRId64 "\n", (int)event->gauges[i].name.size,
                    event->gauges[i].name.at, event->gauges[i].value);
        break;
    case EVENT_VALUE:
        print_text(out, "value reached", event->value_name);
        break;
    case EVENT_KIND_COUNT:
        break;
    }
}

static void
print_event(FILE *out, const char *name, const struct event *event)
{
    fprintf(out, "%s: %s\n", name, event_kind_names[event->kind]);
    print_identity(out, event);
    print_time(out, "time", event->at_ms);
    if (event->sequence >= 0)
        print_count(out, "sequence", event->sequence);
    for (int i = 0; i < NAME_COUNT; i++)
        if (i != NAME_CURRENCY)
            print_text(out, event_name_members[i], event->names[i]);
    print_count(out, "attempt", event->attempt);
    fprintf(out, "  %-16s %s\n", "status", event_status_names[event->status]);
    if (event->http_status != 0)
        print_count(out, "http_status", event->http_status);
    if (event->latency_ms >= 0)
        print_count(out, "latency_ms", event->latency_ms);
    print_kind(out, event);
    print_flags(out, event);
}

void
explain_dead(FILE *out, const char *name, const struct event *event, const struct dead *dead)
{
    fprintf(out, "%s: refused, %s\n", name, dead_names[dead->reason]);
    print_identity(out, event);
    fprintf(out, "  %-16s %s\n", "found", dead->detail);
    fprintf(out, "  %-16s %s\n", "rule", dead_texts[dead->reason]);
    fprintf(out, "  %-16s %s\n", "what to do", remedies[dead->reason]);
}

struct tally_of_file {
    size_t values;
    size_t events;
    size_t ignored;
    size_t refused;
};

static void
explain_value(FILE *out, struct decoder *decoder, struct text value, struct tally_of_file *seen)
{
    const struct record record = {.time_ms = DECODE_NO_TIME, .value = value};
    struct event event;
    struct dead dead;
    enum decoded decoded;
    char name[64];

    seen->values++;
    decoder_open(decoder, &record);
    for (size_t i = 1; (decoded = decoder_next(decoder, &event, &dead)) != DECODED_END; i++) {
        (void)snprintf(name, sizeof name, i == 1 ? "value %zu" : "value %zu, event %zu",
                       seen->values, i);
        if (decoded == DECODED_EVENT) {
            seen->events++;
            print_event(out, name, &event);
        } else if (decoded == DECODED_DEAD) {
            seen->refused++;
            explain_dead(out, name, &event, &dead);
        } else {
            seen->ignored++;
            fprintf(out, "%s: ignored, no usage event\n", name);
        }
    }
}

/* Reads one line into `line`, at most one byte more than any value may have; what is longer is
 * read over. False at the end of the file. */
static bool
read_line(FILE *in, char *line, size_t *size)
{
    int byte;

    *size = 0;
    while ((byte = getc(in)) != EOF && byte != '\n')
        if (*size <= DECODE_VALUE_LIMIT)
            line[(*size)++] = (char)byte;
    return byte != EOF || *size > 0;
}

static bool
is_blank(const char *line, size_t size)
{
    while (size > 0 && (line[size - 1] == ' ' || line[size - 1] == '\t' || line[size - 1] == '\r'))
        size--;
    return size == 0;
}

bool
decode_file(FILE *in, FILE *out, size_t *refused, struct err *why)
{
    struct decoder *decoder = decoder_new();
    char *line = malloc(DECODE_VALUE_LIMIT + 1);
    struct tally_of_file seen = {0};
    size_t size;
    bool good = false;

    *refused = 0;
    if (decoder == NULL || line == NULL) {
        (void)err_set(why, ERR_FATAL, "no memory for decoding");
        goto done;
    }
    while (read_line(in, line, &size))
        if (!is_blank(line, size))
            explain_value(out, decoder, (struct text){line, size}, &seen);
    *refused = seen.refused;
    fprintf(out, "%zu values: %zu events, %zu ignored, %zu refused\n", seen.values, seen.events,
            seen.ignored, seen.refused);
    if (ferror(in))
        (void)err_set(why, ERR_RETRY, "cannot read on behind value %zu", seen.values);
    else if (fflush(out) != 0 || ferror(out))
        (void)err_set(why, ERR_FATAL, "cannot write what was decoded");
    else
        good = true;
done:
    free(line);
    decoder_free(decoder);
    return good;
}
