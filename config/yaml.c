#include "config/yaml.h"

#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    struct text body;
    struct arena *arena;
    struct findings *findings;
};

static struct mark
mark_of(yaml_mark_t mark)
{
    return (struct mark){(int)mark.line + 1, (int)mark.column + 1};
}

/* Bytes that are no text have an offset only. */
static struct mark
mark_at_offset(struct text body, size_t offset)
{
    struct mark mark = {1, 1};

    for (size_t i = 0; i < offset && i < body.size; i++) {
        const unsigned char byte = (unsigned char)body.at[i];

        if (byte == '\n')
            mark = (struct mark){mark.line + 1, 1};
        else if ((byte & 0xc0) != 0x80) /* continuation bytes belong to the character before */
            mark.column++;
    }
    return mark;
}

static void
syntax_error(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem == NULL ? "unknown problem" : parser->problem;

    if (strstr(problem, "cannot start any token") != NULL)
        (void)finding_error(reader->findings, mark_of(parser->problem_mark),
                            "not YAML: no value begins with this character; is it a tab? YAML is "
                            "indented with blanks");
    else if (parser->error == YAML_MEMORY_ERROR)
        (void)finding_error(reader->findings, (struct mark){1, 1}, "out of memory");
    else if (parser->error == YAML_READER_ERROR)
        (void)finding_error(reader->findings, mark_at_offset(reader->body, parser->problem_offset),
                            "not YAML: %s", problem);
    else if (parser->context != NULL)
        (void)finding_error(reader->findings, mark_of(parser->problem_mark),
                            "not YAML: %s (%s that began in line %d)", problem, parser->context,
                            (int)parser->context_mark.line + 1);
    else
        (void)finding_error(reader->findings, mark_of(parser->problem_mark), "not YAML: %s",
                            problem);
}

static bool
next_event(struct reader *reader, yaml_event_t *event)
{
    if (yaml_parser_parse(&reader->parser, event) == 1)
        return true;
    syntax_error(reader);
    return false;
}

static void
refuse_extras(struct reader *reader, struct mark at, const yaml_char_t *anchor,
              const yaml_char_t *tag)
{
    if (anchor != NULL)
        (void)finding_error(reader->findings, at,
                            "anchors (&%s) are not taken: write the value where it is meant",
                            (const char *)anchor);
    if (tag != NULL)
        (void)finding_error(reader->findings, at, "tags (%s) are not taken: remove it",
                            (const char *)tag);
}

static bool
full(struct reader *reader, struct mark at)
{
    return finding_error(reader->findings, at, "too many values for one file");
}

static bool
is_null(struct text text)
{
    return text.size == 0 || text_eq(text, TEXT("~")) || text_eq(text, TEXT("null")) ||
           text_eq(text, TEXT("Null")) || text_eq(text, TEXT("NULL"));
}

static bool
read_scalar(struct reader *reader, const yaml_event_t *event, struct yaml *node)
{
    const struct text text = {(const char *)event->data.scalar.value, event->data.scalar.length};

    refuse_extras(reader, node->at, event->data.scalar.anchor, event->data.scalar.tag);
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && is_null(text)) {
        node->kind = YAML_EMPTY;
        return true;
    }
    if (!text_is_clean(text)) {
        node->kind = YAML_BAD;
        (void)finding_error(reader->findings, node->at,
                            "line breaks and control characters are not taken in a value");
        return true;
    }
    node->kind = YAML_TEXT;
    node->text = arena_text(reader->arena, text);
    return node->text.at != NULL || full(reader, node->at);
}

static struct yaml *read_node(struct reader *reader, const yaml_event_t *event, int depth);

/* The next node; NULL with *ended when the list or map ends, NULL without on an error. */
static struct yaml *
read_next(struct reader *reader, int depth, yaml_event_type_t end, bool *ended)
{
    yaml_event_t event;
    struct yaml *node = NULL;

    if (!next_event(reader, &event))
        return NULL;
    *ended = event.type == end;
    if (!*ended)
        node = read_node(reader, &event, depth);
    yaml_event_delete(&event);
    return node;
}

static bool
append(struct reader *reader, struct yaml *parent, struct yaml **last, struct yaml *node)
{
    if (parent->count == YAML_CHILD_LIMIT)
        return finding_error(reader->findings, node->at, "more than %d members in one list or map",
                             YAML_CHILD_LIMIT);
    if (*last == NULL)
        parent->first = node;
    else
        (*last)->next = node;
    *last = node;
    parent->count++;
    return true;
}

static bool
read_list(struct reader *reader, struct yaml *list, int depth)
{
    struct yaml *last = NULL;
    bool ended = false;

    for (;;) {
        struct yaml *item = read_next(reader, depth, YAML_SEQUENCE_END_EVENT, &ended);

        if (item == NULL)
            return ended;
        if (!append(reader, list, &last, item))
            return false;
    }
}

/* False when the member is not to be kept: what is wrong with its key has been reported. */
static bool
key_is_good(struct reader *reader, const struct yaml *map, const struct yaml *key)
{
    const struct yaml *first;

    if (key->kind == YAML_BAD)
        return false;
    if (key->kind != YAML_TEXT || key->text.size == 0)
        return finding_error(reader->findings, key->at, "a key is a word, as in `key: value`");
    first = yaml_member(map, key->text);
    if (first != NULL)
        return finding_error(reader->findings, key->at,
                             "%s is given twice, first in line %d: keep one of them", key->text.at,
                             first->key_at.line);
    return true;
}

static bool
read_map(struct reader *reader, struct yaml *map, int depth)
{
    struct yaml *last = NULL;
    bool ended = false;

    for (;;) {
        struct yaml *key = read_next(reader, depth, YAML_MAPPING_END_EVENT, &ended);
        struct yaml *value;

        if (key == NULL)
            return ended;
        value = read_next(reader, depth, YAML_NO_EVENT, &ended);
        if (value == NULL)
            return false;
        if (!key_is_good(reader, map, key))
            continue;
        value->key = key->text;
        value->key_at = key->at;
        if (!append(reader, map, &last, value))
            return false;
    }
}

/* By what the event begins; false when reading cannot go on. */
static bool
fill_node(struct reader *reader, const yaml_event_t *event, struct yaml *node, int depth)
{
    if (event->type == YAML_SCALAR_EVENT)
        return read_scalar(reader, event, node);
    if (event->type == YAML_ALIAS_EVENT) {
        node->kind = YAML_BAD;
        (void)finding_error(reader->findings, node->at,
                            "aliases (*%s) are not taken: write the value where it is meant",
                            (const char *)event->data.alias.anchor);
        return true;
    }
    if (depth == YAML_DEPTH_LIMIT)
        return finding_error(reader->findings, node->at, "more than %d levels", YAML_DEPTH_LIMIT);
    if (event->type == YAML_SEQUENCE_START_EVENT) {
        node->kind = YAML_LIST;
        refuse_extras(reader, node->at, event->data.sequence_start.anchor,
                      event->data.sequence_start.tag);
        return read_list(reader, node, depth + 1);
    }
    node->kind = YAML_MAP;
    refuse_extras(reader, node->at, event->data.mapping_start.anchor,
                  event->data.mapping_start.tag);
    return read_map(reader, node, depth + 1);
}

static struct yaml *
read_node(struct reader *reader, const yaml_event_t *event, int depth)
{
    struct yaml *node = arena_take(reader->arena, sizeof *node);

    if (node == NULL) {
        (void)full(reader, mark_of(event->start_mark));
        return NULL;
    }
    node->at = mark_of(event->start_mark);
    return fill_node(reader, event, node, depth) ? node : NULL;
}

/* Reads on to an event of one of two types; which one is in *found. */
static bool
skip_to(struct reader *reader, yaml_event_type_t a, yaml_event_type_t b, yaml_event_t *found)
{
    while (next_event(reader, found)) {
        if (found->type == a || found->type == b)
            return true;
        yaml_event_delete(found);
    }
    return false;
}

static struct yaml *
read_stream(struct reader *reader)
{
    yaml_event_t event;
    struct yaml *root = NULL;
    bool ended;
    bool alone = false;

    if (!skip_to(reader, YAML_DOCUMENT_START_EVENT, YAML_STREAM_END_EVENT, &event))
        return NULL;
    ended = event.type == YAML_STREAM_END_EVENT;
    yaml_event_delete(&event);
    if (ended) { /* nothing but comments */
        root = arena_take(reader->arena, sizeof *root);
        if (root != NULL)
            *root = (struct yaml){.kind = YAML_EMPTY, .at = {1, 1}};
        return root;
    }
    root = read_next(reader, 0, YAML_DOCUMENT_END_EVENT, &ended);
    if (root == NULL || !skip_to(reader, YAML_DOCUMENT_START_EVENT, YAML_STREAM_END_EVENT, &event))
        return NULL;
    alone = event.type == YAML_STREAM_END_EVENT ||
            finding_error(reader->findings, mark_of(event.start_mark),
                          "a second document begins here: one file is one document");
    yaml_event_delete(&event);
    return alone ? root : NULL;
}

/* Some editors put a byte order mark before UTF-8; libyaml takes it for a document. */
static struct text
without_mark(struct text body)
{
    static const char mark[] = "\xef\xbb\xbf";
    const size_t size = sizeof mark - 1;

    if (body.size >= size && memcmp(body.at, mark, size) == 0)
        return (struct text){body.at + size, body.size - size};
    return body;
}

struct yaml *
yaml_parse(struct text body, struct arena *arena, struct findings *findings)
{
    struct reader reader = {.body = without_mark(body), .arena = arena, .findings = findings};
    struct yaml *root = NULL;

    if (body.size > YAML_SIZE_LIMIT) {
        (void)finding_error(findings, (struct mark){1, 1}, "the file is larger than 1 MiB");
        return NULL;
    }
    if (yaml_parser_initialize(&reader.parser) != 1) {
        (void)finding_error(findings, (struct mark){1, 1}, "out of memory");
        return NULL;
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)reader.body.at,
                                 reader.body.size);
    root = read_stream(&reader);
    yaml_parser_delete(&reader.parser);
    return root;
}

const struct yaml *
yaml_member(const struct yaml *map, struct text key)
{
    if (map == NULL || map->kind != YAML_MAP)
        return NULL;
    for (const struct yaml *member = map->first; member != NULL; member = member->next)
        if (text_eq(member->key, key))
            return member;
    return NULL;
}
