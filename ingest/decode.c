#include "ingest/decode.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/clock.h"
#include "ingest/member.h"
#include "ingest/usage_data.h"

#define HEADER_COPY_LIMIT 512 /* bytes kept of a header; all valid ones are shorter */

/* Attributes of the envelope; in binary mode, headers with "ce_" in front. */
enum {
    CE_SPECVERSION,
    CE_TYPE,
    CE_ID,
    CE_SOURCE,
    CE_SUBJECT,
    CE_TIME,
    CE_SEQUENCE,
    CE_DATA,
    CE_DATACONTENTTYPE, /* known so that it is not looked at twice; says nothing here */
    CE_COUNT
};
static const char *const envelope_names[CE_COUNT] = {
    [CE_SPECVERSION] = "specversion",
    [CE_TYPE] = "type",
    [CE_ID] = "id",
    [CE_SOURCE] = "source",
    [CE_SUBJECT] = "subject",
    [CE_TIME] = "time",
    [CE_SEQUENCE] = "sequence",
    [CE_DATA] = "data",
    [CE_DATACONTENTTYPE] = "datacontenttype",
};

enum stage {
    STAGE_END,
    STAGE_IGNORED, /* nothing in it */
    STAGE_REFUSED, /* the whole value, for the reason in decoder->dead */
    STAGE_SINGLE,  /* the envelope is read; its faults are in decoder->dead */
    STAGE_BATCH,   /* walk stands before the next event */
};

/* What all decoders look names up in; made once. */
static struct words {
    struct vocabulary names;
    struct members envelope;
    struct usage_words usage;
    struct vocabulary kinds;
} words;
static pthread_once_t words_made = PTHREAD_ONCE_INIT;

struct decoder {
    struct json *json;
    struct reading reading;
    int64_t time_ms; /* the record's */
    enum stage stage;
    struct dead dead;

    struct object envelope; /* of the event being decoded */
    bool envelope_good;

    const struct json_value *root;
    const struct json_value *element; /* STAGE_BATCH: the event being decoded, or the next one */

    char *bodies; /* minified `data` of this record's events, one behind the other */
    size_t bodies_size;
    char headers[CE_COUNT][HEADER_COPY_LIMIT];
    struct json_value header_values[CE_COUNT];
};

static void
make_words(void)
{
    members_init(&words.envelope, "", envelope_names, CE_COUNT, &words.names);
    usage_words_init(&words.usage, &words.names);
    vocabulary_add(&words.kinds, event_kind_names, EVENT_KIND_COUNT);
}

struct decoder *
decoder_new(void)
{
    struct decoder *decoder = calloc(1, sizeof *decoder);

    if (decoder == NULL || pthread_once(&words_made, make_words) != 0) {
        free(decoder);
        return NULL;
    }
    /* The shortest member is `"":0,` - five bytes; the rest of these pages is never touched. */
    decoder->reading.name_limit = DECODE_VALUE_LIMIT / 5 + 1;
    decoder->reading.names = malloc(decoder->reading.name_limit * sizeof *decoder->reading.names);
    decoder->bodies = malloc(DECODE_VALUE_LIMIT);
    decoder->json = json_new(DECODE_VALUE_LIMIT, DECODE_DEPTH_LIMIT, &words.names);
    if (decoder->reading.names == NULL || decoder->bodies == NULL || decoder->json == NULL) {
        decoder_free(decoder);
        return NULL;
    }
    return decoder;
}

void
decoder_free(struct decoder *decoder)
{
    if (decoder == NULL)
        return;
    json_free(decoder->json);
    free(decoder->bodies);
    free(decoder->reading.names);
    free(decoder);
}

static bool
refuse_fault(struct dead *dead, enum json_fault fault)
{
    switch (fault) {
    case JSON_FINE:
        break;
    case JSON_BROKEN:
        return refuse(dead, DEAD_not_json, "the value is not JSON");
    case JSON_NUMBER:
        return refuse(dead, DEAD_not_json,
                      "a number is malformed, or fits neither 64 bits nor a double");
    case JSON_ESCAPE:
        return refuse(dead, DEAD_not_json,
                      "a text has an invalid escape or half of a surrogate pair");
    case JSON_DEEP:
        return refuse(dead, DEAD_too_deep, "nested deeper than %d", DECODE_DEPTH_LIMIT);
    case JSON_NOT_UTF8:
        return refuse(dead, DEAD_not_utf8, "the value is not valid UTF-8");
    case JSON_OVERSIZE:
        return refuse(dead, DEAD_too_large, "the value is larger than %zu bytes",
                      DECODE_VALUE_LIMIT);
    }
    return true;
}

/* Puts one header where the envelope's member of that name would be. */
static bool
take_header(struct decoder *decoder, const struct header *header)
{
    const struct text prefix = TEXT("ce_");
    struct object *envelope = &decoder->envelope;

    if (header->name.size <= prefix.size || memcmp(header->name.at, prefix.at, prefix.size) != 0)
        return true;
    const struct text name = {header->name.at + prefix.size, header->name.size - prefix.size};
    const int slot = words.envelope.slot_of[vocabulary_find(&words.names, name)] - 1;

    if (slot < 0 || slot == CE_DATA || header->value.size == 0)
        return true;
    if (object_has(envelope, slot))
        return refuse(&decoder->dead, DEAD_duplicate_member, "header ce_%s stands twice",
                      envelope_names[slot]);

    struct text copy = {decoder->headers[slot], header->value.size};

    if (copy.size > HEADER_COPY_LIMIT)
        copy.size = HEADER_COPY_LIMIT; /* longer than any limit: refused all the same */
    memcpy(decoder->headers[slot], header->value.at, copy.size);
    decoder->header_values[slot] = (struct json_value){.type = JSON_TEXT, .is.text = copy};
    envelope->given |= UINT64_C(1) << slot;
    envelope->value[slot] = &decoder->header_values[slot];
    return true;
}

/* Binary mode: attributes in headers, the value is the data. */
static void
read_headers(struct decoder *decoder, const struct record *record)
{
    struct header headers[RECORD_HEADER_LIMIT];
    struct object *envelope = &decoder->envelope;
    bool binary = false;

    if (record->headers == NULL)
        return;
    size_t count = record->headers(record->origin, headers, RECORD_HEADER_LIMIT);

    if (count > RECORD_HEADER_LIMIT)
        count = RECORD_HEADER_LIMIT;
    for (size_t i = 0; i < count; i++)
        binary = binary || text_eq(headers[i].name, TEXT("ce_specversion"));
    if (!binary)
        return;
    envelope->given = UINT64_C(1) << CE_DATA;
    envelope->value[CE_DATA] = decoder->root;
    for (size_t i = 0; i < count && decoder->envelope_good; i++)
        decoder->envelope_good = take_header(decoder, &headers[i]);
}

/* Any value but an array. */
static void
open_single(struct decoder *decoder, const struct record *record)
{
    struct object *envelope = &decoder->envelope;

    decoder->stage = STAGE_SINGLE;
    decoder->envelope_good = true;
    envelope->known = &words.envelope;
    envelope->dead = &decoder->dead;
    envelope->given = 0;
    if (decoder->root->type == JSON_OBJECT)
        decoder->envelope_good = object_read(envelope, &words.envelope, decoder->root,
                                             &decoder->reading, &decoder->dead);
    if (!object_has(envelope, CE_SPECVERSION))
        read_headers(decoder, record);
}

void
decoder_open(struct decoder *decoder, const struct record *record)
{
    decoder->time_ms = record->time_ms;
    decoder->bodies_size = 0;
    if (record->value.at == NULL) {
        decoder->stage = STAGE_IGNORED;
        return;
    }
    if (!refuse_fault(&decoder->dead, json_parse(decoder->json, record->value, &decoder->root))) {
        decoder->stage = STAGE_REFUSED;
        return;
    }
    if (decoder->root->type != JSON_ARRAY) {
        open_single(decoder, record);
        return;
    }
    decoder->element = json_first(decoder->root);
    decoder->stage = decoder->element == json_end(decoder->root) ? STAGE_IGNORED : STAGE_BATCH;
}

/* The text of the event being decoded, as it was written. */
static struct text
event_source(const struct decoder *decoder)
{
    return decoder->stage == STAGE_SINGLE ? json_source(decoder->json)
                                          : json_source_of(decoder->json, decoder->element);
}

/* Only a value above the limit can hold an event above it. */
static bool
check_size(struct decoder *decoder)
{
    if (json_source(decoder->json).size <= DECODE_SIZE_LIMIT)
        return true;
    const size_t size = event_source(decoder).size;

    return size <= DECODE_SIZE_LIMIT || refuse(&decoder->dead, DEAD_too_large,
                                               "%zu bytes, more than %zu", size, DECODE_SIZE_LIMIT);
}

/* Postgres cannot keep U+0000, in whatever member. */
static bool
has_nul(struct text text)
{
    return text.size > 0 && memchr(text.at, '\0', text.size) != NULL;
}

static bool
check_storable(struct decoder *decoder, const struct json_value *value)
{
    if (has_nul(value->name) || (value->type == JSON_TEXT && has_nul(value->is.text)))
        return refuse(&decoder->dead, DEAD_control_character, "data: U+0000 in a text");
    if (value->type < JSON_ARRAY)
        return true;
    for (const struct json_value *inner = json_first(value); inner != json_end(value);
         inner = json_after(inner))
        if (!check_storable(decoder, inner))
            return false;
    return true;
}

/* event->body, for the kinds that are kept whole; their data is an object. */
static bool
keep_body(struct decoder *decoder, struct event *event)
{
    const struct json_value *data = decoder->envelope.value[CE_DATA];

    if (!check_storable(decoder, data))
        return false;
    event->body = json_minify(decoder->json, json_source_of(decoder->json, data),
                              decoder->bodies + decoder->bodies_size);
    decoder->bodies_size += event->body.size;
    return true;
}

/* Each of the three as far as it can be read; *first: what is wrong with the first that cannot. */
static bool
read_identity(struct decoder *decoder, struct event *event, struct dead *first)
{
    struct object *envelope = &decoder->envelope;
    struct dead later;
    bool good = true;
    const struct {
        int slot;
        size_t limit;
        struct text *out;
    } parts[] = {
        {CE_ID, EVENT_ID_LIMIT, &event->id},
        {CE_SOURCE, EVENT_SOURCE_LIMIT, &event->source},
        {CE_SUBJECT, EVENT_ID_LIMIT, &event->tenant},
    };

    envelope->dead = first;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (object_needs(envelope, UINT64_C(1) << parts[i].slot) &&
            object_text(envelope, parts[i].slot, parts[i].limit, parts[i].out))
            continue;
        good = false;
        envelope->dead = &later;
    }
    envelope->dead = &decoder->dead;
    return good;
}

/* Where the last ".usage." begins; -1: nowhere. */
static ptrdiff_t
find_usage(struct text type)
{
    const struct text mark = TEXT(".usage.");
    ptrdiff_t at = (ptrdiff_t)type.size - (ptrdiff_t)mark.size;

    while (at >= 0 && memcmp(type.at + at, mark.at, mark.size) != 0)
        at--;
    return at;
}

/* The kind of <any prefix>.usage.<kind>.v1, or -1. No kind has a dot in its name. */
static int
read_kind(struct text type)
{
    const struct text mark = TEXT(".usage.");
    const struct text version = TEXT(".v1");

    if (type.size < mark.size + version.size)
        return -1;
    const char *end = type.at + type.size - version.size;
    const char *name = end;

    while (name > type.at && name[-1] != '.')
        name--;
    if (name < type.at + mark.size || memcmp(end, version.at, version.size) != 0 ||
        memcmp(name - mark.size, mark.at, mark.size) != 0)
        return -1;
    return (int)vocabulary_find(&words.kinds, (struct text){name, (size_t)(end - name)}) - 1;
}

static bool
is_cloud_event(const struct object *envelope)
{
    if (!object_has(envelope, CE_SPECVERSION))
        return refuse(envelope->dead, DEAD_not_an_event, "specversion is missing");
    const struct json_value *version = envelope->value[CE_SPECVERSION];

    if (version->type != JSON_TEXT || !text_eq(version->is.text, TEXT("1.0")))
        return refuse(envelope->dead, DEAD_not_an_event, "specversion is not \"1.0\"");
    return true;
}

static bool
read_time(const struct decoder *decoder, struct event *event)
{
    const struct object *envelope = &decoder->envelope;
    char at[CLOCK_TEXT_SIZE];

    if (!object_needs(envelope, UINT64_C(1) << CE_TIME) ||
        !object_time(envelope, CE_TIME, &event->at_ms))
        return false;
    if (decoder->time_ms == DECODE_NO_TIME)
        return true;
    /* The record's time may be any int64, the event's lies in the years 1970..9999. */
    if (event->at_ms - DECODE_AHEAD_MS > decoder->time_ms)
        return refuse(envelope->dead, DEAD_time_ahead,
                      "time %s: more than 5 min after the record's",
                      clock_format(event->at_ms, at));
    if (event->at_ms + DECODE_AGE_MS < decoder->time_ms)
        return refuse(envelope->dead, DEAD_too_old,
                      "time %s: more than 400 days before the record's",
                      clock_format(event->at_ms, at));
    return true;
}

/* CloudEvents' own extension of this name is any text: one that is no number says nothing here. */
static bool
read_sequence(const struct object *envelope, struct event *event)
{
    if (!object_has(envelope, CE_SEQUENCE))
        return true;
    const struct json_value *value = envelope->value[CE_SEQUENCE];

    if (value->type != JSON_TEXT)
        return object_count(envelope, CE_SEQUENCE, &event->sequence);
    (void)text_to_int(value->is.text, 0, COUNT_LIMIT, &event->sequence);
    return true;
}

static bool
read_event(struct decoder *decoder, struct event *event)
{
    struct object *envelope = &decoder->envelope;

    if (!check_size(decoder) || !read_time(decoder, event) || !read_sequence(envelope, event) ||
        !object_needs(envelope, UINT64_C(1) << CE_DATA) ||
        !usage_data_read(&words.usage, envelope->value[CE_DATA], &decoder->reading, event,
                         &decoder->dead))
        return false;
    return !event_kind_is_kept(event->kind) || keep_body(decoder, event);
}

/* The event whose envelope has been read: who it is, whether it is ours, then the rest. */
static enum decoded
decode_envelope(struct decoder *decoder, struct event *event)
{
    struct object *envelope = &decoder->envelope;
    struct dead unidentified;
    const bool identified = read_identity(decoder, event, &unidentified);
    struct text type = {NULL, 0};
    char quoted[QUOTED_SIZE];

    if (!decoder->envelope_good || !is_cloud_event(envelope) ||
        !object_needs(envelope, UINT64_C(1) << CE_TYPE) ||
        !object_text(envelope, CE_TYPE, EVENT_SOURCE_LIMIT, &type))
        return DECODED_DEAD;
    const int kind = read_kind(type);

    if (kind < 0 && find_usage(type) < 0)
        return DECODED_IGNORED;
    if (kind < 0) {
        (void)refuse(&decoder->dead, DEAD_unknown_kind, "type %s", text_quoted(type, quoted));
        return DECODED_DEAD;
    }
    event->kind = (enum event_kind)kind;
    if (!identified) {
        decoder->dead = unidentified;
        return DECODED_DEAD;
    }
    return read_event(decoder, event) ? DECODED_EVENT : DECODED_DEAD;
}

/* The envelope of the next event of an array. */
static void
open_element(struct decoder *decoder)
{
    const struct json_value *value = decoder->element;
    struct object *envelope = &decoder->envelope;

    envelope->known = &words.envelope;
    envelope->dead = &decoder->dead;
    envelope->given = 0;
    decoder->envelope_good =
        value->type == JSON_OBJECT
            ? object_read(envelope, &words.envelope, value, &decoder->reading, &decoder->dead)
            : refuse(&decoder->dead, DEAD_not_an_event, "an element of the array is no object");
}

/* All but the gauges, in steps that are a few wide stores each: as one, it would be an instruction
 * that takes longer to begin than this takes. */
static void
clear_event(struct event *event)
{
    enum { STEP = 64, END = offsetof(struct event, gauges) };

    _Static_assert(END + STEP <= sizeof *event, "the last step ends among the gauges");
    for (size_t at = 0; at < END; at += STEP)
        memset((char *)event + at, 0, STEP);
    event->sequence = -1;
}

enum decoded
decoder_next(struct decoder *decoder, struct event *event, struct dead *dead)
{
    enum decoded decoded = DECODED_END;

    if (decoder->stage == STAGE_END)
        return DECODED_END;
    clear_event(event);
    switch (decoder->stage) {
    case STAGE_END:
    case STAGE_IGNORED:
        decoder->stage = STAGE_END;
        return DECODED_IGNORED;
    case STAGE_REFUSED:
        decoder->stage = STAGE_END;
        decoded = DECODED_DEAD;
        break;
    case STAGE_SINGLE:
        decoded = decode_envelope(decoder, event);
        decoder->stage = STAGE_END;
        break;
    case STAGE_BATCH:
        open_element(decoder);
        decoded = decode_envelope(decoder, event);
        decoder->element = json_after(decoder->element);
        if (decoder->element == json_end(decoder->root))
            decoder->stage = STAGE_END;
        break;
    }
    if (decoded == DECODED_DEAD)
        *dead = decoder->dead;
    return decoded;
}
