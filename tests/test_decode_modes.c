/* What an event's members become, arrays and binary mode, and a day of real traces to the nano. */
#include <stdlib.h>

#include "core/clock.h"
#include "tests/decode_help.h"

static struct decoder *decoder;

static int
open_decoder(void)
{
    decoder = decoder_new();
    return decoder == NULL;
}

static int
close_decoder(void)
{
    decoder_free(decoder);
    return 0;
}

static void
check_text(const char *row, struct text actual, const char *expected)
{
    char line[128];

    (void)snprintf(line, sizeof line, "%.40s: %.*s", row,
                   (int)(actual.size < 80 ? actual.size : 80), actual.at == NULL ? "" : actual.at);
    CHECK_INT(line, actual.at == NULL ? expected == NULL : text_eq(actual, text_of(expected)),
              true);
}

static void
members(void)
{
    const struct one one = decode_row(
        decoder,
        "{'specversion':'1.0','id':'i','source':'//gw','type':'x.usage.record.v1',"
        "'time':'2026-03-02T11:59:59.5Z','subject':'acme','sequence':'0012','data':{"
        "'request_id':'r1','attempt':2,'feature':'search','project':'','workspace':'w',"
        "'api_key_id':'k','user':'u','client_ip':'203.0.113.5','region':'eu','route':'/v1',"
        "'plan':'free','provider':'openai','model':'m','model_requested':'m-big',"
        "'operation':'chat','status':'partial','http_status':200,'latency_ms':1124.9,"
        "'stream':true,'estimated':true,'currency':'EUR','cost':'0E-9','usage':{"
        "'requests':0,'input_tokens':10,'cache_read_tokens':4,'cache_write_tokens':6,"
        "'output_tokens':9,'reasoning_tokens':9,'images':1,'audio_ms':2,'bytes':3}}}");
    static const char *const names[NAME_COUNT] = {
        [NAME_REQUEST_ID] = "r1",
        [NAME_FEATURE] = "search",
        [NAME_PROJECT] = NULL,
        [NAME_WORKSPACE] = "w",
        [NAME_API_KEY_ID] = "k",
        [NAME_USER] = "u",
        [NAME_CLIENT_IP] = "203.0.113.5",
        [NAME_REGION] = "eu",
        [NAME_ROUTE] = "/v1",
        [NAME_PLAN] = "free",
        [NAME_PROVIDER] = "openai",
        [NAME_MODEL] = "m",
        [NAME_MODEL_REQUESTED] = "m-big",
        [NAME_OPERATION] = "chat",
        [NAME_CURRENCY] = "EUR",
    };
    static const int64_t usage[USAGE_COUNT] = {0, 10, 4, 6, 9, 9, 1, 2, 3};
    const struct event *event = &one.event;

    CHECK_INT("all members", one.decoded, DECODED_EVENT);
    for (int i = 0; i < NAME_COUNT; i++)
        check_text(event_name_members[i], event->names[i], names[i]);
    for (int i = 0; i < USAGE_COUNT; i++)
        CHECK_INT(usage_names[i], event->usage[i], usage[i]);
    CHECK_INT("has", event->has, (1 << USAGE_COUNT) - 1);
    CHECK_INT("kind", event->kind, EVENT_RECORD);
    CHECK_INT("time", event->at_ms, DECODE_NOON_MS - 500);
    CHECK_INT("sequence", event->sequence, 12);
    CHECK_INT("attempt", event->attempt, 2);
    CHECK_INT("status", event->status, STATUS_PARTIAL);
    CHECK_INT("http_status", event->http_status, 200);
    CHECK_INT("latency", event->latency_ms, 1124);
    CHECK_INT("flags", event->flags, EVENT_HAS_COST | EVENT_ESTIMATED | EVENT_STREAM);
    CHECK_INT("cost", event->cost.nano, 0);
    check_text("body", event->body, NULL);
}

static void
defaults(void)
{
    struct one one = decode_row(decoder, RECORD_USAGE(""));

    CHECK_INT("record: requests", one.event.usage[USAGE_REQUESTS], 1);
    CHECK_INT("record: has", one.event.has, 0);
    CHECK_INT("record: attempt", one.event.attempt, 1);
    CHECK_INT("record: status", one.event.status, STATUS_SUCCEEDED);
    CHECK_INT("record: latency", one.event.latency_ms, -1);
    CHECK_INT("record: sequence", one.event.sequence, -1);
    CHECK_INT("record: flags", one.event.flags, 0);
    one = decode_row(decoder,
                     EVENT_OF("settle", "'request_id':'r','usage':{},'reservation':{'id':'h'}"));
    CHECK_INT("settle: requests", one.event.usage[USAGE_REQUESTS], 1);
    CHECK_INT("settle: final", one.event.flags, EVENT_FINAL);
    check_text("settle: reservation", one.event.reservation.id, "h");
    one = decode_row(decoder, EVENT_OF("settle", "'request_id':'r','usage':{},'final':false,"
                                                 "'reservation':{'id':'h'}"));
    CHECK_INT("settle: not final", one.event.flags, 0);
    one = decode_row(decoder, EVENT_OF("refund", "'refund_of':{'id':'e0'},'cost':'-0.5'"));
    CHECK_INT("refund: requests", one.event.usage[USAGE_REQUESTS], 0);
    CHECK_INT("refund: cost", one.event.cost.nano, -MONEY_NANO_PER_UNIT / 2);
    CHECK_INT("refund: time of the original", one.event.refers.at_ms, -1);
    check_text("refund: source of the original", one.event.refers.source, NULL);
}

static void
costs(void)
{
    static const struct {
        const char *cost;
        int64_t nano;
    } rows[] = {
        {"'0.000078150'", 78150},
        {"'7.5e-08'", 75},
        {"'0.0000000005'", 0}, /* a tie goes to the even nano */
        {"'0.0000000015'", 2},
        {"'9000000000'", INT64_C(9000000000) * MONEY_NANO_PER_UNIT},
        {"0.00007815", 78150},
        {"1", MONEY_NANO_PER_UNIT},
        {"1e6", 1000000 * MONEY_NANO_PER_UNIT},
        {"0.1", 100000000},
        /* The double is 12345.6789012345671... */
        {"12345.678901234567", INT64_C(12345678901235)},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char value[512];

        (void)snprintf(value, sizeof value, "%s%s}}",
                       "{'specversion':'1.0','id':'e','source':'s','type':'x.usage.record.v1',"
                       "'time':'2026-03-02T12:00:00Z','subject':'t','data':{'request_id':'r',"
                       "'usage':{},'cost':",
                       rows[i].cost);
        const struct one one = decode_row(decoder, value);

        CHECK_INT(rows[i].cost, one.decoded, DECODED_EVENT);
        CHECK_INT(rows[i].cost, one.event.cost.nano, rows[i].nano);
        CHECK_INT(rows[i].cost, one.event.flags, EVENT_HAS_COST);
    }
}

static void
clamps(void)
{
    static const struct {
        const char *name;
        const char *row;
        int64_t read, write, reasoning;
        bool clamped;
    } rows[] = {
        {"equal",
         RECORD_USAGE("'input_tokens':10,'cache_read_tokens':4,'cache_write_tokens':6,"
                      "'output_tokens':5,'reasoning_tokens':5"),
         4, 6, 5, false},
        {"one too many written",
         RECORD_USAGE("'input_tokens':10,'cache_read_tokens':4,'cache_write_tokens':7"), 4, 6, 0,
         true},
        {"read alone too large",
         RECORD_USAGE("'input_tokens':10,'cache_read_tokens':11,'cache_write_tokens':1"), 10, 0, 0,
         true},
        {"no input at all", RECORD_USAGE("'cache_read_tokens':1"), 0, 0, 0, true},
        {"sum beyond 64 bits would be",
         RECORD_USAGE("'input_tokens':9007199254740991,'cache_read_tokens':9007199254740991,"
                      "'cache_write_tokens':9007199254740991"),
         INT64_C(9007199254740991), 0, 0, true},
        {"reasoning", RECORD_USAGE("'output_tokens':5,'reasoning_tokens':6"), 0, 0, 5, true},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct one one = decode_row(decoder, rows[i].row);

        CHECK_INT(rows[i].name, one.event.usage[USAGE_CACHE_READ_TOKENS], rows[i].read);
        CHECK_INT(rows[i].name, one.event.usage[USAGE_CACHE_WRITE_TOKENS], rows[i].write);
        CHECK_INT(rows[i].name, one.event.usage[USAGE_REASONING_TOKENS], rows[i].reasoning);
        CHECK_INT(rows[i].name, (one.event.flags & EVENT_CLAMPED) != 0, rows[i].clamped);
    }
}

static void
kept_whole(void)
{
    struct one one = decode_row(
        decoder, EVENT_OF("reserve", " 'request_id' : 'r', 'reservation': {'id':'h [1, 2]',"
                                     "'cost':1.10, 'tokens':7,'expires':'2026-03-02T12:15:00Z'} "));

    check_text("body", one.event.body,
               "{\"request_id\":\"r\",\"reservation\":{\"id\":\"h [1, 2]\",\"cost\":1.10,"
               "\"tokens\":7,\"expires\":\"2026-03-02T12:15:00Z\"}}");
    CHECK_INT("cost", one.event.cost.nano, 1100000000);
    CHECK_INT("tokens", one.event.reservation.tokens, 7);
    CHECK_INT("expires", one.event.reservation.expires_ms, DECODE_NOON_MS + 15 * CLOCK_MINUTE_MS);
    one = decode_row(decoder,
                     EVENT_OF("correct", "'supersedes':{'id':'e0','source':'//gw2',"
                                         "'time':'2026-03-02T11:00:00Z'},'usage':{'bytes':1}"));
    check_text("supersedes", one.event.refers.id, "e0");
    check_text("its source", one.event.refers.source, "//gw2");
    CHECK_INT("its time", one.event.refers.at_ms, DECODE_NOON_MS - CLOCK_HOUR_MS);
    CU_ASSERT_PTR_NOT_NULL(one.event.body.at);
    one = decode_row(decoder,
                     EVENT_OF("decision", "'request_id':'r','decision':{'outcome':'downgrade',"
                                          "'reason':'plan','policy':'p1','model_to':'small',"
                                          "'estimated_cost':'0.25'}"));
    check_text("outcome", one.event.decision.outcome, "downgrade");
    check_text("reason", one.event.decision.reason, "plan");
    check_text("policy", one.event.decision.policy, "p1");
    check_text("model_to", one.event.decision.model_to, "small");
    CHECK_INT("estimate", one.event.decision.has_estimate, true);
    CHECK_INT("estimate", one.event.decision.estimated_cost.nano, 250000000);
    one = decode_row(decoder, EVENT_OF("topup", "'topup':{'amount':'50','ref':'inv-7'}"));
    check_text("ref", one.event.topup.ref, "inv-7");
    CHECK_INT("amount", one.event.topup.amount.nano, 50 * MONEY_NANO_PER_UNIT);
    one = decode_row(decoder, EVENT_OF("gauge", "'gauges':{'seats':3,'mine':null,'bytes':0}"));
    CHECK_INT("gauges", one.event.gauge_count, 2);
    check_text("gauge 0", one.event.gauges[0].name, "seats");
    CHECK_INT("gauge 0", one.event.gauges[0].value, 3);
    check_text("gauge 1", one.event.gauges[1].name, "bytes");
    one = decode_row(decoder, EVENT_OF("value", "'value':{'name':'first export'}"));
    check_text("value", one.event.value_name, "first export");
    one = decode_row(decoder, EVENT_OF("release", "'reservation':{'id':'h','reason':'cancelled'}"));
    check_text("release", one.event.reservation.reason, "cancelled");
}

#define VALUE_EVENT(id, note)                                                                  \
    "{'specversion':'1.0','id':'" id "','source':'s','type':'x.usage.value.v1','subject':'t'," \
    "'data' : {'value':{'name':'" note "'}} ,'time':'2026-03-02T12:00:00Z'}"

static void
arrays(void)
{
    static const char row[] = " [ " VALUE_EVENT(
        "a", "1 ] } \\\\") ", 7 , {'specversion':'1.0',"
                           "'type':'foreign'}, {'id':'b','source':'s','subject':'t'} ,"
                           "{'id':'c','id':'c'}," VALUE_EVENT("d", "2") "] ";
    static const enum decoded expected[] = {DECODED_EVENT, DECODED_DEAD, DECODED_IGNORED,
                                            DECODED_DEAD,  DECODED_DEAD, DECODED_EVENT,
                                            DECODED_END,   DECODED_END};
    static const int reasons[] = {
        -1, DEAD_not_an_event, -1, DEAD_not_an_event, DEAD_duplicate_member, -1};
    char value[DECODE_TEXT_LIMIT];
    const struct record record = {.time_ms = DECODE_NOON_MS, .value = decode_quotes(row, value)};
    struct event events[8];
    struct dead dead;

    decoder_open(decoder, &record);
    memset(value, 'x', sizeof value); /* the bytes may go */
    for (size_t i = 0; i < 8; i++) {
        char name[8];

        (void)snprintf(name, sizeof name, "%zu", i);
        CHECK_INT(name, decoder_next(decoder, &events[i], &dead), expected[i]);
        if (i < 6 && reasons[i] >= 0)
            CHECK_INT(name, dead.reason, reasons[i]);
    }
    check_text("first body", events[0].body, "{\"value\":{\"name\":\"1 ] } \\\\\"}}");
    check_text("last body", events[5].body, "{\"value\":{\"name\":\"2\"}}");
    check_text("known of the dead", events[3].tenant, "t");
    CHECK_INT("empty array", decode_row(decoder, "[]").decoded, DECODED_IGNORED);
    CHECK_INT("empty array", decode_row(decoder, " [ ] ").then, DECODED_END);
    CHECK_INT("null value", decode_value(decoder, (struct text){NULL, 0}).decoded, DECODED_IGNORED);
    CHECK_INT("arrays in arrays", decode_row(decoder, "[[]]").dead.reason, DEAD_not_an_event);
}

/* A dead letter names whom it is about, whatever else is wrong in front of that. */
static void
known_of_the_dead(void)
{
    const struct one one = decode_row(
        decoder, "{'specversion':'1.0','type':'x.usage.record.v1','type':'y','x':{'a':1,'a':2},"
                 "'id':'e1','source':'//gw','subject':'acme'}");

    CHECK_INT("twice", one.dead.reason, DEAD_duplicate_member);
    check_text("id", one.event.id, "e1");
    check_text("source", one.event.source, "//gw");
    check_text("tenant", one.event.tenant, "acme");
}

/* A batch above 64 KiB: each event is measured alone. */
static void
large_arrays(void)
{
    const size_t room = 3 * DECODE_SIZE_LIMIT;
    char *value = malloc(room);
    char row[DECODE_TEXT_LIMIT];
    struct event event;
    struct dead dead;
    size_t size = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    if (value == NULL)
        return;
    const struct text head = decode_quotes(
        "{'specversion':'1.0','id':'a','source':'s','type':'x.usage.record.v1','subject':'t',"
        "'time':'2026-03-02T12:00:00Z','data':{'request_id':'r','usage':{},'note':'",
        row);
    const size_t filling = DECODE_SIZE_LIMIT - head.size - 3;

    for (size_t extra = 0; extra < 2; extra++) {
        value[size++] = extra == 0 ? '[' : ',';
        memcpy(value + size, head.at, head.size);
        memset(value + size + head.size, '[', filling + extra);
        size += head.size + filling + extra;
        for (const char *end = "\"}}"; *end != '\0'; end++)
            value[size++] = *end;
    }
    value[size++] = ']';
    const struct record record = {.time_ms = DECODE_NOON_MS, .value = {value, size}};

    decoder_open(decoder, &record);
    CHECK_INT("64 KiB", decoder_next(decoder, &event, &dead), DECODED_EVENT);
    CHECK_INT("and one", decoder_next(decoder, &event, &dead), DECODED_DEAD);
    CHECK_INT("and one", dead.reason, DEAD_too_large);
    CHECK_INT("end", decoder_next(decoder, &event, &dead), DECODED_END);
    free(value);
}

#define HEADER(name, value)            \
    {                                  \
        {(name), sizeof(name) - 1},    \
        {                              \
            (value), sizeof(value) - 1 \
        }                              \
    }

static const struct header plain_headers[] = {
    HEADER("content-type", "application/json"),
    HEADER("ce_specversion", "1.0"),
    HEADER("ce_type", "x.usage.value.v1"),
    HEADER("ce_source", "//gw"),
    HEADER("ce_id", "e-1"),
    HEADER("ce_time", "2026-03-02T12:00:00Z"),
    HEADER("ce_subject", "acme"),
    HEADER("ce_sequence", "41"),
    HEADER("ce_traceparent", "00-1"),
};
enum { PLAIN_COUNT = sizeof plain_headers / sizeof plain_headers[0] };

struct headers {
    struct header list[PLAIN_COUNT + 1];
    size_t count;
};

static size_t
give_headers(const void *origin, struct header *out, size_t room)
{
    const struct headers *headers = origin;

    for (size_t i = 0; i < headers->count && i < room; i++)
        out[i] = headers->list[i];
    return headers->count;
}

static struct one
decode_binary(struct headers *headers, const char *row)
{
    char value[DECODE_TEXT_LIMIT];
    struct record record = {.time_ms = DECODE_NOON_MS,
                            .value = decode_quotes(row, value),
                            .headers = give_headers,
                            .origin = headers};
    struct one one;

    decoder_open(decoder, &record);
    one.decoded = decoder_next(decoder, &one.event, &one.dead);
    one.then = DECODED_END;
    return one;
}

static void
binary(void)
{
    struct headers headers = {.count = PLAIN_COUNT};
    const char *data = "{ 'value' : {'name':'v'}}";
    static char long_id[EVENT_ID_LIMIT * 8];

    memcpy(headers.list, plain_headers, sizeof plain_headers);
    struct one one = decode_binary(&headers, data);

    CHECK_INT("binary", one.decoded, DECODED_EVENT);
    check_text("id", one.event.id, "e-1");
    check_text("source", one.event.source, "//gw");
    check_text("tenant", one.event.tenant, "acme");
    check_text("value", one.event.value_name, "v");
    check_text("body", one.event.body, "{\"value\":{\"name\":\"v\"}}");
    CHECK_INT("sequence", one.event.sequence, 41);
    one = decode_binary(&headers, VALUE_EVENT("structured", "v"));
    check_text("structured wins", one.event.id, "structured");
    one = decode_binary(&headers, "7");
    CHECK_INT("data is a number", one.dead.reason, DEAD_bad_member);
    check_text("known of the dead", one.event.id, "e-1");
    one = decode_binary(&headers, "not json");
    CHECK_INT("another content type", one.dead.reason, DEAD_not_json);

    headers.list[PLAIN_COUNT] = (struct header)HEADER("ce_id", "e-2");
    headers.count++;
    CHECK_INT("two ids", decode_binary(&headers, data).dead.reason, DEAD_duplicate_member);
    headers.count--;
    memset(long_id, 'i', sizeof long_id);
    headers.list[4].value = (struct text){long_id, sizeof long_id};
    CHECK_INT("long id", decode_binary(&headers, data).dead.reason, DEAD_bad_member);
    headers.list[4].value = (struct text){"\xff", 1};
    CHECK_INT("id is no UTF-8", decode_binary(&headers, data).dead.reason, DEAD_not_utf8);
    headers.list[4].value = (struct text){"a\n", 2};
    CHECK_INT("newline in id", decode_binary(&headers, data).dead.reason, DEAD_control_character);
    headers.list[4].value = (struct text){NULL, 0};
    CHECK_INT("id without value", decode_binary(&headers, data).dead.reason, DEAD_missing_member);
    headers.list[1].name = TEXT("ce_specversions");
    CHECK_INT("no ce_specversion", decode_binary(&headers, data).dead.reason, DEAD_not_an_event);
    headers.list[1] = (struct header)HEADER("ce_specversion", "0.3");
    CHECK_INT("old version", decode_binary(&headers, data).dead.reason, DEAD_not_an_event);
}

static void
record_times(void)
{
    char value[DECODE_TEXT_LIMIT];
    const struct text text = decode_quotes(RECORD_USAGE(""), value);
    static const struct {
        const char *name;
        int64_t time_ms;
        enum decoded expected;
    } rows[] = {
        {"no time", DECODE_NO_TIME, DECODED_EVENT},
        {"the smallest", INT64_MIN + 1, DECODED_DEAD},
        {"the largest", INT64_MAX, DECODED_DEAD},
        {"not stamped", -1, DECODED_DEAD},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct record record = {.time_ms = rows[i].time_ms, .value = text};
        struct event event;
        struct dead dead;

        decoder_open(decoder, &record);
        CHECK_INT(rows[i].name, decoder_next(decoder, &event, &dead), rows[i].expected);
    }
}

/* NULL and a message when shared data is not there. */
static FILE *
open_traces(void)
{
    /* No thread has been started. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    const char *shared = getenv("TRIPMETER_SHARED");
    char path[512];
    char command[640];

    (void)snprintf(path, sizeof path, "%s/data/usage-traces.tar.zst",
                   shared == NULL ? "../shared" : shared);
    FILE *there = fopen(path, "rb");

    if (there == NULL) {
        printf("(skipped: no %s) ", path);
        return NULL;
    }
    (void)fclose(there);
    (void)snprintf(command, sizeof command, "tar --zstd -xOf '%s' replay/native_events.jsonl",
                   path);
    return popen(command, "r");
}

static void
traces(void)
{
    FILE *in = open_traces();
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    int64_t kinds[EVENT_KIND_COUNT] = {0};
    int64_t others = 0;
    int64_t spent = 0;
    int64_t refunded = 0;

    if (in == NULL)
        return;
    while ((size = getline(&line, &room, in)) > 0) {
        const struct record record = {.time_ms = DECODE_NO_TIME, .value = {line, (size_t)size}};
        struct event event;
        struct dead dead;

        decoder_open(decoder, &record);
        if (decoder_next(decoder, &event, &dead) != DECODED_EVENT) {
            others++;
            continue;
        }
        kinds[event.kind]++;
        if (event.kind == EVENT_REFUND)
            refunded += event.cost.nano;
        else if (event.kind != EVENT_RESERVE)
            spent += event.cost.nano;
    }
    free(line);
    CHECK_INT("tar", pclose(in), 0);
    CHECK_INT("not events", others, 0);
    CHECK_INT("record", kinds[EVENT_RECORD], 5758);
    CHECK_INT("reserve", kinds[EVENT_RESERVE], 4242);
    CHECK_INT("settle", kinds[EVENT_SETTLE], 4180);
    CHECK_INT("release", kinds[EVENT_RELEASE], 62);
    CHECK_INT("refund", kinds[EVENT_REFUND], 32);
    CHECK_INT("record and settle", spent, INT64_C(31794261925));
    CHECK_INT("refunds", refunded, INT64_C(-145190800));
    CHECK_INT("net", spent + refunded, INT64_C(31649071125));
}

static CU_TestInfo tests[] = {
    {"every member finds its place", members},
    {"what is assumed where an event says nothing", defaults},
    {"cost as text and as number, exactly", costs},
    {"subsets larger than their whole are clamped and flagged", clamps},
    {"kinds that are kept whole carry their data minified", kept_whole},
    {"an array's events stand and fall alone", arrays},
    {"a dead letter says whose it is", known_of_the_dead},
    {"the limit of 64 KiB holds for each event of an array", large_arrays},
    {"binary mode: attributes in headers", binary},
    {"any time a record may carry", record_times},
    {"14,274 traced events to the nano", traces},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_decode_modes = {"decode_modes", open_decoder, close_decoder,
                                         NULL,           NULL,         tests};
