/* Which values are events, which are refused and why, which are not ours: one row a trap. */
#include <stdlib.h>

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

enum { FINE = DEAD_COUNT, OURS_NOT }; /* beside the reasons, what a row may expect */

struct row {
    const char *name;
    const char *value;
    int expected;       /* of enum dead_reason, or FINE or OURS_NOT */
    const char *detail; /* what the detail says somewhere; NULL: not looked at */
};

static void
check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        const struct one one = decode_row(decoder, row->value);
        const int answer = one.decoded == DECODED_EVENT     ? FINE
                           : one.decoded == DECODED_IGNORED ? OURS_NOT
                                                            : (int)one.dead.reason;

        CHECK_INT(row->name, answer, row->expected);
        CHECK_INT(row->name, one.then, DECODED_END);
        if (one.decoded == DECODED_DEAD && row->detail != NULL &&
            strstr(one.dead.detail, row->detail) == NULL)
            CHECK_INT(one.dead.detail, 0, row->detail != NULL);
    }
}

#define CHECK_ROWS(rows) check_rows((rows), sizeof(rows) / sizeof(rows)[0])

#define ENVELOPE(members) "{" members ",'data':{'request_id':'r','usage':{}}}"
#define NAMED             "'id':'e1','source':'//gw','subject':'acme'"
#define TYPED             "'specversion':'1.0','type':'a.usage.record.v1','time':'2026-03-02T12:00:00Z'"
#define OF_TYPE(type) \
    ENVELOPE("'specversion':'1.0','type':" type "," NAMED ",'time':'2026-03-02T12:00:00Z'")

static void
envelope(void)
{
    static const struct row rows[] = {
        {"plain", RECORD_USAGE(""), FINE, NULL},
        {"empty value", "", DEAD_not_json, NULL},
        {"blank value", "  ", DEAD_not_json, NULL},
        {"cut", "{'specversion':'1.0'", DEAD_not_json, NULL},
        {"two values", RECORD_USAGE("") " {}", DEAD_not_json, NULL},
        {"comma at the end", RECORD_WITH("'labels':{},"), DEAD_not_json, NULL},
        {"NaN", RECORD_WITH("'cost':NaN"), DEAD_not_json, NULL},
        {"raw tab in a text", RECORD_WITH("'model':'a\tb'"), DEAD_not_json, NULL},
        {"leading zero", RECORD_USAGE("'input_tokens':01"), DEAD_not_json, "number"},
        {"beyond 64 bits", RECORD_USAGE("'mine':18446744073709551616"), DEAD_not_json, "64 bits"},
        {"largest 64 bits", RECORD_USAGE("'mine':18446744073709551615"), FINE, NULL},
        {"number", "5", DEAD_not_an_event, NULL},
        {"null", "null", DEAD_not_an_event, NULL},
        {"text", "'x'", DEAD_not_an_event, NULL},
        {"no envelope", "{}", DEAD_not_an_event, "specversion"},
        {"old version", ENVELOPE("'specversion':'0.3','type':'a.usage.record.v1'," NAMED),
         DEAD_not_an_event, "1.0"},
        {"version as number", ENVELOPE("'specversion':1.0,'type':'a.usage.record.v1'," NAMED),
         DEAD_not_an_event, "1.0"},
        {"foreign type", OF_TYPE("'com.github.push'"), OURS_NOT, NULL},
        {"foreign, otherwise broken", "{'specversion':'1.0','type':'x','id':5}", OURS_NOT, NULL},
        {"usage without its dots", OF_TYPE("'a.usage'"), OURS_NOT, NULL},
        {"nothing before usage", OF_TYPE("'usage.record.v1'"), OURS_NOT, NULL},
        {"empty prefix", OF_TYPE("'.usage.record.v1'"), FINE, NULL},
        {"usage in the prefix", OF_TYPE("'a.usage.usage.record.v1'"), FINE, NULL},
        {"unknown kind", OF_TYPE("'a.usage.bill.v1'"), DEAD_unknown_kind, "bill"},
        {"unknown version", OF_TYPE("'a.usage.record.v2'"), DEAD_unknown_kind, "v2"},
        {"longer version", OF_TYPE("'a.usage.record.v10'"), DEAD_unknown_kind, NULL},
        {"no version", OF_TYPE("'a.usage.record'"), DEAD_unknown_kind, NULL},
        {"no kind", OF_TYPE("'a.usage.'"), DEAD_unknown_kind, NULL},
        {"kind in capitals", OF_TYPE("'a.usage.Record.v1'"), DEAD_unknown_kind, NULL},
        {"type is no text", OF_TYPE("7"), DEAD_bad_member, "type"},
        {"type is null", OF_TYPE("null"), DEAD_missing_member, "type"},
        {"no id", ENVELOPE(TYPED ",'source':'s','subject':'t'"), DEAD_missing_member, "id"},
        {"empty id", ENVELOPE(TYPED ",'id':'','source':'s','subject':'t'"), DEAD_missing_member,
         "id"},
        {"id is a number", ENVELOPE(TYPED ",'id':1,'source':'s','subject':'t'"), DEAD_bad_member,
         "id"},
        {"no source", ENVELOPE(TYPED ",'id':'i','subject':'t'"), DEAD_missing_member, "source"},
        {"empty source", ENVELOPE(TYPED ",'id':'i','source':'','subject':'t'"), DEAD_missing_member,
         "source"},
        {"no subject", ENVELOPE(TYPED ",'id':'i','source':'s'"), DEAD_missing_member, "subject"},
        {"empty subject", ENVELOPE(TYPED ",'id':'i','source':'s','subject':''"),
         DEAD_missing_member, "subject"},
        {"no data", "{" TYPED "," NAMED "}", DEAD_missing_member, "data"},
        {"data is a text", "{" TYPED "," NAMED ",'data':'x'}", DEAD_bad_member, "data"},
        {"data is an array", "{" TYPED "," NAMED ",'data':[]}", DEAD_bad_member, "data"},
        {"sequence", "{" TYPED "," NAMED ",'sequence':7,'data':{'request_id':'r','usage':{}}}",
         FINE, NULL},
        {"sequence of any text", ENVELOPE(TYPED "," NAMED ",'sequence':'a-7'"), FINE, NULL},
        {"negative sequence", ENVELOPE(TYPED "," NAMED ",'sequence':-1"), DEAD_count_range,
         "sequence"},
        {"sequence is an object", ENVELOPE(TYPED "," NAMED ",'sequence':{}"), DEAD_bad_member,
         "sequence"},
        {"unknown members", ENVELOPE(TYPED "," NAMED ",'traceparent':'x','a':[{'b':1}]"), FINE,
         NULL},
    };

    CHECK_ROWS(rows);
}

static void
twice(void)
{
    static const struct row rows[] = {
        {"envelope, known", ENVELOPE(TYPED "," NAMED ",'id':'e2'"), DEAD_duplicate_member, "id"},
        {"envelope, known and null", ENVELOPE(TYPED "," NAMED ",'time':null"),
         DEAD_duplicate_member, "time"},
        {"envelope, unknown", ENVELOPE(TYPED "," NAMED ",'x':1,'x':1"), DEAD_duplicate_member, "x"},
        {"escaped", ENVELOPE(TYPED "," NAMED ",'\\u0069d':'e2'"), DEAD_duplicate_member, "id"},
        {"foreign event", "{'specversion':'1.0','type':'x','type':'y'}", DEAD_duplicate_member,
         "type"},
        {"data, known", RECORD_WITH("'model':'a','model':'a'"), DEAD_duplicate_member, "model"},
        {"data, unknown", RECORD_WITH("'m':'a','n':1,'m':'a'"), DEAD_duplicate_member, "m"},
        {"usage", RECORD_USAGE("'images':1,'images':2"), DEAD_duplicate_member, "images"},
        {"custom counter", RECORD_USAGE("'mine':1,'mine':2"), DEAD_duplicate_member, "mine"},
        {"labels", RECORD_WITH("'labels':{'a':1,'b':2,'a':3}"), DEAD_duplicate_member, "a"},
        {"below an unknown one", RECORD_WITH("'x':{'y':[1,{'a':1,'a':2}]}"), DEAD_duplicate_member,
         "a"},
        {"below one without meaning here", RECORD_WITH("'gauges':{'a':1,'a':2}"),
         DEAD_duplicate_member, "a"},
        {"gauges", EVENT_OF("gauge", "'gauges':{'seats':1,'seats':2}"), DEAD_duplicate_member,
         "seats"},
        {"empty name", RECORD_WITH("'labels':{'':1,'':2}"), DEAD_duplicate_member, NULL},
        {"among many",
         RECORD_WITH("'labels':{'a':1,'b':1,'c':1,'d':1,'e':1,'f':1,'g':1,'h':1,'i':1,"
                     "'j':1,'k':1,'l':1,'m':1,'n':1,'o':1,'p':1,'q':1,'c':2}"),
         DEAD_duplicate_member, "c"},
        {"same name in two objects", RECORD_WITH("'labels':{'a':1},'more':{'a':1}"), FINE, NULL},
        {"many, all different",
         RECORD_WITH("'labels':{'a':1,'b':1,'c':1,'d':1,'e':1,'f':1,'g':1,'h':1,'i':1,"
                     "'j':1,'k':1,'l':1,'m':1,'n':1,'o':1,'p':1,'q':1,'aa':2}"),
         FINE, NULL},
    };

    CHECK_ROWS(rows);
}

static void
counts(void)
{
    static const struct row rows[] = {
        {"0", RECORD_USAGE("'input_tokens':0"), FINE, NULL},
        {"2^53-1", RECORD_USAGE("'input_tokens':9007199254740991"), FINE, NULL},
        {"2^53", RECORD_USAGE("'input_tokens':9007199254740992"), DEAD_count_range,
         "data.usage.input_tokens"},
        {"2^64-1", RECORD_USAGE("'bytes':18446744073709551615"), DEAD_count_range, "bytes"},
        {"-1", RECORD_USAGE("'output_tokens':-1"), DEAD_count_range, "output_tokens"},
        {"-0", RECORD_USAGE("'output_tokens':-0"), FINE, NULL},
        {"44.0", RECORD_USAGE("'output_tokens':44.0"), FINE, NULL},
        {"4e3", RECORD_USAGE("'output_tokens':4e3"), FINE, NULL},
        {"4.5", RECORD_USAGE("'output_tokens':4.5"), DEAD_bad_member, "whole"},
        {"1e300", RECORD_USAGE("'output_tokens':1e300"), DEAD_count_range, NULL},
        {"text", RECORD_USAGE("'output_tokens':'4'"), DEAD_bad_member, "number"},
        {"true", RECORD_USAGE("'output_tokens':true"), DEAD_bad_member, "number"},
        {"null is absent", RECORD_USAGE("'output_tokens':null"), FINE, NULL},
        {"custom counters are not looked at", RECORD_USAGE("'mine':-1.5,'yours':'x'"), FINE, NULL},
        {"usage is a number", EVENT_OF("record", "'request_id':'r','usage':5"), DEAD_bad_member,
         "data.usage"},
        {"attempt 1", RECORD_WITH("'attempt':1"), FINE, NULL},
        {"attempt 255", RECORD_WITH("'attempt':255"), FINE, NULL},
        {"attempt 0", RECORD_WITH("'attempt':0"), DEAD_bad_member, "1..255"},
        {"attempt 256", RECORD_WITH("'attempt':256"), DEAD_bad_member, "1..255"},
        {"http_status 999", RECORD_WITH("'http_status':999"), FINE, NULL},
        {"http_status 1000", RECORD_WITH("'http_status':1000"), DEAD_bad_member, "0..999"},
        {"latency with a fraction", RECORD_WITH("'latency_ms':12.75"), FINE, NULL},
        {"negative latency", RECORD_WITH("'latency_ms':-1"), DEAD_count_range, "latency_ms"},
        {"negative latency, fraction", RECORD_WITH("'latency_ms':-0.5"), DEAD_count_range, NULL},
        {"stream as text", RECORD_WITH("'stream':'yes'"), DEAD_bad_member, "stream"},
        {"17 gauges",
         EVENT_OF("gauge", "'gauges':{'a':1,'b':1,'c':1,'d':1,'e':1,'f':1,'g':1,'h':1,'i':1,'j':1,"
                           "'k':1,'l':1,'m':1,'n':1,'o':1,'p':1,'q':1}"),
         DEAD_bad_member, "16"},
        {"16 gauges",
         EVENT_OF("gauge", "'gauges':{'a':1,'b':1,'c':1,'d':1,'e':1,'f':1,'g':1,'h':1,'i':1,'j':1,"
                           "'k':1,'l':1,'m':1,'n':1,'o':1,'p':1}"),
         FINE, NULL},
        {"negative gauge", EVENT_OF("gauge", "'gauges':{'a':-1}"), DEAD_count_range, "gauges.a"},
        {"gauge without a name", EVENT_OF("gauge", "'gauges':{'':1}"), DEAD_bad_member, "name"},
    };

    CHECK_ROWS(rows);
}

#define REFUND(cost)         EVENT_OF("refund", "'refund_of':{'id':'e0'},'cost':" cost)
#define CORRECT(more)        EVENT_OF("correct", "'supersedes':{'id':'e0'},'usage':{}" more)
#define RESERVE(reservation) EVENT_OF("reserve", "'request_id':'r','reservation':{" reservation "}")
#define TOPUP(amount)        EVENT_OF("topup", "'topup':{'ref':'inv-1','amount':" amount "}")

static void
amounts(void)
{
    static const struct row rows[] = {
        {"9e9", RECORD_WITH("'cost':'9000000000'"), FINE, NULL},
        {"a nano above 9e9", RECORD_WITH("'cost':'9000000000.000000001'"), DEAD_cost_range, "cost"},
        {"far above", RECORD_WITH("'cost':'1e30'"), DEAD_cost_range, NULL},
        {"no number", RECORD_WITH("'cost':'free'"), DEAD_bad_member, "cost"},
        {"with currency", RECORD_WITH("'cost':'1.00 USD'"), DEAD_bad_member, NULL},
        {"comma", RECORD_WITH("'cost':'1,50'"), DEAD_bad_member, NULL},
        {"blank", RECORD_WITH("'cost':' 1'"), DEAD_bad_member, NULL},
        {"true", RECORD_WITH("'cost':true"), DEAD_bad_member, NULL},
        {"object", RECORD_WITH("'cost':{'total':'1'}"), DEAD_bad_member, NULL},
        {"JSON 1e6", RECORD_WITH("'cost':1000000"), FINE, NULL},
        {"JSON 1e6 with a point", RECORD_WITH("'cost':1000000.0"), FINE, NULL},
        {"JSON integer above 1e6", RECORD_WITH("'cost':1000001"), DEAD_cost_range, "as text"},
        {"JSON double above 1e6", RECORD_WITH("'cost':1000000.5"), DEAD_cost_range, "as text"},
        {"JSON above int64", RECORD_WITH("'cost':18446744073709551615"), DEAD_cost_range, NULL},
        {"negative record", RECORD_WITH("'cost':'-0.000000001'"), DEAD_cost_range, "refund"},
        {"negative to zero", RECORD_WITH("'cost':'-0.0000000001'"), FINE, NULL},
        {"negative integer", RECORD_WITH("'cost':-1"), DEAD_cost_range, "refund"},
        {"minus zero", RECORD_WITH("'cost':'-0.00'"), FINE, NULL},
        {"refund", REFUND("'-0.000000001'"), FINE, NULL},
        {"refund as number", REFUND("-1"), FINE, NULL},
        {"refund of 9e9", REFUND("'-9e9'"), FINE, NULL},
        {"refund beyond", REFUND("'-9000000000.1'"), DEAD_cost_range, NULL},
        {"refund of zero", REFUND("'0'"), DEAD_cost_range, "negative"},
        {"positive refund", REFUND("'1'"), DEAD_cost_range, "negative"},
        {"refund without cost", REFUND("null"), DEAD_missing_member, "data.cost"},
        {"correct", CORRECT(",'cost':'1'"), FINE, NULL},
        {"negative correct", CORRECT(",'cost':'-1'"), DEAD_cost_range, NULL},
        {"negative hold", RESERVE("'id':'h','cost':'-1'"), DEAD_cost_range,
         "data.reservation.cost"},
        {"topup", TOPUP("'50'"), FINE, NULL},
        {"topup beyond", TOPUP("'9000000001'"), DEAD_cost_range, "data.topup.amount"},
    };

    CHECK_ROWS(rows);
}

static void
times(void)
{
    static const struct row rows[] = {
        {"5 min ahead", EVENT_TIMED("value", "2026-03-02T12:05:00Z", "'value':{'name':'v'}"), FINE,
         NULL},
        {"5 min and 1 ms ahead",
         EVENT_TIMED("value", "2026-03-02T12:05:00.001Z", "'value':{'name':'v'}"), DEAD_time_ahead,
         "2026-03-02T12:05:00.001Z"},
        {"400 days", EVENT_TIMED("value", "2025-01-26T12:00:00Z", "'value':{'name':'v'}"), FINE,
         NULL},
        {"400 days and 1 ms",
         EVENT_TIMED("value", "2025-01-26T11:59:59.999Z", "'value':{'name':'v'}"), DEAD_too_old,
         NULL},
        {"offset", EVENT_TIMED("value", "2026-03-02T17:35:00+05:30", "'value':{'name':'v'}"), FINE,
         NULL},
        {"no zone", EVENT_TIMED("value", "2026-03-02T12:00:00", "'value':{'name':'v'}"),
         DEAD_bad_time, "time"},
        {"date only", EVENT_TIMED("value", "2026-03-02", "'value':{'name':'v'}"), DEAD_bad_time,
         NULL},
        {"empty", EVENT_TIMED("value", "", "'value':{'name':'v'}"), DEAD_missing_member, "time"},
        {"a number",
         ENVELOPE("'specversion':'1.0','type':'a.usage.record.v1','time':1772452800," NAMED),
         DEAD_bad_time, NULL},
        {"missing", ENVELOPE("'specversion':'1.0','type':'a.usage.record.v1'," NAMED),
         DEAD_missing_member, "time"},
        {"expires", RESERVE("'id':'h','cost':'1','expires':'soon'"), DEAD_bad_time,
         "data.reservation.expires"},
        {"refund_of.time", EVENT_OF("refund", "'refund_of':{'id':'e0','time':'then'},'cost':'-1'"),
         DEAD_bad_time, "data.refund_of.time"},
    };

    CHECK_ROWS(rows);
}

static void
needs(void)
{
    static const struct row rows[] = {
        {"record without request_id", EVENT_OF("record", "'usage':{}"), DEAD_missing_member,
         "data.request_id"},
        {"record with an empty one", EVENT_OF("record", "'request_id':'','usage':{}"),
         DEAD_missing_member, "data.request_id"},
        {"record without usage", EVENT_OF("record", "'request_id':'r'"), DEAD_missing_member,
         "data.usage"},
        {"settle", EVENT_OF("settle", "'request_id':'r','usage':{},'reservation':{'id':'h'}"), FINE,
         NULL},
        {"settle without reservation", EVENT_OF("settle", "'request_id':'r','usage':{}"),
         DEAD_missing_member, "data.reservation"},
        {"settle without its id",
         EVENT_OF("settle", "'request_id':'r','usage':{},'reservation':{}"), DEAD_missing_member,
         "data.reservation.id"},
        {"settle without usage", EVENT_OF("settle", "'request_id':'r','reservation':{'id':'h'}"),
         DEAD_missing_member, "data.usage"},
        {"settle without request_id", EVENT_OF("settle", "'usage':{},'reservation':{'id':'h'}"),
         DEAD_missing_member, "data.request_id"},
        {"final as text",
         EVENT_OF("settle", "'request_id':'r','usage':{},'reservation':{'id':'h'},'final':'no'"),
         DEAD_bad_member, "data.final"},
        {"reserve by cost", RESERVE("'id':'h','cost':'1'"), FINE, NULL},
        {"reserve by tokens", RESERVE("'id':'h','tokens':100"), FINE, NULL},
        {"reserve nothing", RESERVE("'id':'h'"), DEAD_missing_member, "data.reservation.cost"},
        {"reserve without id", RESERVE("'cost':'1'"), DEAD_missing_member, "data.reservation.id"},
        {"release", EVENT_OF("release", "'reservation':{'id':'h'}"), FINE, NULL},
        {"release nothing", EVENT_OF("release", "'x':1"), DEAD_missing_member, "data.reservation"},
        {"refund of nothing", EVENT_OF("refund", "'cost':'-1'"), DEAD_missing_member,
         "data.refund_of"},
        {"refund without id", EVENT_OF("refund", "'cost':'-1','refund_of':{'source':'s'}"),
         DEAD_missing_member, "data.refund_of.id"},
        {"correct nothing", EVENT_OF("correct", "'usage':{}"), DEAD_missing_member,
         "data.supersedes"},
        {"correct without usage", EVENT_OF("correct", "'supersedes':{'id':'e0'}"),
         DEAD_missing_member, "data.usage"},
        {"decision", EVENT_OF("decision", "'request_id':'r','decision':{'outcome':'block'}"), FINE,
         NULL},
        {"decision without outcome", EVENT_OF("decision", "'request_id':'r','decision':{}"),
         DEAD_missing_member, "data.decision.outcome"},
        {"another outcome", EVENT_OF("decision", "'request_id':'r','decision':{'outcome':'maybe'}"),
         DEAD_bad_member, "data.decision.outcome"},
        {"topup without ref", EVENT_OF("topup", "'topup':{'amount':'1'}"), DEAD_missing_member,
         "data.topup.ref"},
        {"topup without amount", EVENT_OF("topup", "'topup':{'ref':'i'}"), DEAD_missing_member,
         "data.topup.amount"},
        {"no gauges", EVENT_OF("gauge", "'gauges':{}"), DEAD_missing_member, "data.gauges"},
        {"gauges of nothing", EVENT_OF("gauge", "'gauges':{'a':null}"), DEAD_missing_member,
         "data.gauges"},
        {"gauges in an array", EVENT_OF("gauge", "'gauges':[1]"), DEAD_bad_member, "data.gauges"},
        {"value without name", EVENT_OF("value", "'value':{}"), DEAD_missing_member,
         "data.value.name"},
        {"another kind's members are ignored", RECORD_WITH("'decision':'allow','gauges':7"), FINE,
         NULL},
        {"cost where it means nothing", EVENT_OF("value", "'value':{'name':'v'},'cost':true"), FINE,
         NULL},
    };

    CHECK_ROWS(rows);
}

static void
texts(void)
{
    static const struct row rows[] = {
        {"U+0000", RECORD_WITH("'model':'a\\u0000'"), DEAD_control_character, "data.model"},
        {"newline", RECORD_WITH("'feature':'a\\nb'"), DEAD_control_character, "data.feature"},
        {"delete", RECORD_WITH("'feature':'a\x7f'"), DEAD_control_character, NULL},
        {"C1", RECORD_WITH("'feature':'\\u0085'"), DEAD_control_character, NULL},
        {"lone low surrogate", RECORD_WITH("'feature':'\\udc00'"), DEAD_not_json, "surrogate"},
        {"unused text", RECORD_WITH("'note':'a\\u0000\\n'"), FINE, NULL},
        {"unused, invalid UTF-8", RECORD_WITH("'note':'\xff'"), DEAD_not_utf8, NULL},
        {"overlong", RECORD_WITH("'note':'\xc0\xaf'"), DEAD_not_utf8, NULL},
        {"two and four bytes", RECORD_WITH("'feature':'\xc3\xa9\xf0\x9f\x9a\x80'"), FINE, NULL},
        {"surrogate pair", RECORD_WITH("'feature':'\\ud83d\\ude80'"), FINE, NULL},
        {"number for a name", RECORD_WITH("'project':5"), DEAD_bad_member, "data.project"},
        {"null for a name", RECORD_WITH("'project':null"), FINE, NULL},
        {"kept whole, U+0000", EVENT_OF("value", "'value':{'name':'v'},'note':['\\u0000']"),
         DEAD_control_character, "data"},
        {"lone high surrogate", RECORD_WITH("'note':'\\ud83d'"), DEAD_not_json, "surrogate"},
        {"kept whole, newline", EVENT_OF("value", "'value':{'name':'v'},'note':'a\\nb'"), FINE,
         NULL},
        {"another status", RECORD_WITH("'status':'timeout'"), FINE, NULL},
        {"status is a number", RECORD_WITH("'status':200"), DEAD_bad_member, "data.status"},
    };

    CHECK_ROWS(rows);
}

/* {"envelope": ..., "member": "xxx..."} with `size` bytes in one member, from both sides. */
static enum decoded
decode_filled(const char *before, size_t size, const char *after, struct one *one)
{
    char start[DECODE_TEXT_LIMIT];
    char end[DECODE_TEXT_LIMIT];
    const struct text head = decode_quotes(before, start);
    const struct text tail = decode_quotes(after, end);
    const size_t total = head.size + size + tail.size;
    char *value = malloc(total);

    if (value == NULL)
        return DECODED_END;
    memcpy(value, head.at, head.size);
    memset(value + head.size, 'x', size);
    memcpy(value + head.size + size, tail.at, tail.size);
    *one = decode_value(decoder, (struct text){value, total});
    free(value);
    return one->decoded;
}

static void
lengths(void)
{
    static const struct {
        const char *name;
        const char *before;
        const char *after;
        size_t limit;
    } rows[] = {
        {"id", "{" TYPED ",'source':'s','subject':'t','data':{'request_id':'r','usage':{}},'id':'",
         "'}", 128},
        {"source",
         "{" TYPED ",'id':'i','subject':'t','data':{'request_id':'r','usage':{}},'source':'", "'}",
         256},
        {"subject",
         "{" TYPED ",'id':'i','source':'s','data':{'request_id':'r','usage':{}},'subject':'", "'}",
         128},
        {"model", "{" TYPED "," NAMED ",'data':{'request_id':'r','usage':{},'model':'", "'}}", 128},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct one one = {.decoded = DECODED_END};

        CHECK_INT(rows[i].name, decode_filled(rows[i].before, rows[i].limit, rows[i].after, &one),
                  DECODED_EVENT);
        CHECK_INT(rows[i].name,
                  decode_filled(rows[i].before, rows[i].limit + 1, rows[i].after, &one),
                  DECODED_DEAD);
        CHECK_INT(rows[i].name, one.dead.reason, DEAD_bad_member);
    }
}

static void
sizes(void)
{
    const char *before = "{" TYPED "," NAMED ",'data':{'request_id':'r','usage':{},'note':'";
    const char *after = "'}}";
    const size_t frame = strlen(before) + strlen(after);
    struct one one = {.decoded = DECODED_END};

    CHECK_INT("64 KiB", decode_filled(before, DECODE_SIZE_LIMIT - frame, after, &one),
              DECODED_EVENT);
    CHECK_INT("one more", decode_filled(before, DECODE_SIZE_LIMIT - frame + 1, after, &one),
              DECODED_DEAD);
    CHECK_INT("one more", one.dead.reason, DEAD_too_large);
    CU_ASSERT(text_eq(one.event.tenant, TEXT("acme")));
    CHECK_INT("1 MiB and one", decode_filled(before, DECODE_VALUE_LIMIT - frame + 1, after, &one),
              DECODED_DEAD);
    CHECK_INT("1 MiB and one", one.dead.reason, DEAD_too_large);
}

static void
depth(void)
{
    for (int deep = DECODE_DEPTH_LIMIT - 3; deep <= DECODE_DEPTH_LIMIT; deep++) {
        char value[DECODE_TEXT_LIMIT] = "";
        char brackets[2][DECODE_DEPTH_LIMIT + 1] = {"", ""};

        memset(brackets[0], '[', (size_t)deep);
        memset(brackets[1], ']', (size_t)deep);
        (void)snprintf(value, sizeof value,
                       "{" TYPED "," NAMED ",'data':{'request_id':'r','usage':{},'x':%s1%s}}",
                       brackets[0], brackets[1]);
        const struct one one = decode_row(decoder, value);

        /* Two objects stand around the brackets. */
        CHECK_INT(value, one.decoded,
                  deep + 2 <= DECODE_DEPTH_LIMIT ? DECODED_EVENT : DECODED_DEAD);
        if (one.decoded == DECODED_DEAD)
            CHECK_INT(value, one.dead.reason, DEAD_too_deep);
    }
}

static CU_TestInfo tests[] = {
    {"the envelope: what is an event, what is not ours", envelope},
    {"a member named twice is refused, wherever it is", twice},
    {"counts are whole and in their range", counts},
    {"amounts are exact, in their range and of the right sign", amounts},
    {"times against the record's, edges from both sides", times},
    {"what each kind cannot do without", needs},
    {"texts that are used are clean, others only valid", texts},
    {"names up to their limit, not beyond", lengths},
    {"64 KiB an event, 1 MiB a value", sizes},
    {"32 levels, not 33", depth},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_decode = {"decode", open_decoder, close_decoder, NULL, NULL, tests};
