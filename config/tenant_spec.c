#include "config/tenant_spec.h"

#include "config/cycle_text.h"
#include "config/quota_load.h"
#include "config/value.h"
#include "core/burst.h"

#include <jansson.h>
#include <stdio.h>

enum { NAME_LIMIT = 128, WHERE_ROOM = 256, NUMBER_ROOM = 24 };

struct reader {
    struct arena *arena;
    struct tenant_spec *out;
    struct err *why;
};

static struct text
text_of_json(const json_t *value)
{
    return (struct text){json_string_value(value), json_string_length(value)};
}

static bool
out_of_memory(struct reader *reader)
{
    return err_set(reader->why, ERR_RETRY, "out of memory");
}

static bool
keep(struct reader *reader, struct text from, struct text *to)
{
    *to = arena_text(reader->arena, from);
    return to->at != NULL || out_of_memory(reader);
}

/* ---- members ---------------------------------------------------------------------------------- */

static bool
unknown_member(struct reader *reader, const char *where, const char *key, const char *const *names)
{
    unsigned best = value_typo_limit(strlen(key)) + 1;
    const char *nearest = NULL;

    for (size_t i = 0; names[i] != NULL; i++) {
        const unsigned distance = text_distance(text_of(key), text_of(names[i]), best);

        if (distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    if (nearest != NULL)
        return err_set(reader->why, ERR_INPUT, "%sunknown member \"%s\"; did you mean \"%s\"?",
                       where, key, nearest);
    return err_set(reader->why, ERR_INPUT, "%sunknown member \"%s\"", where, key);
}

/* An object with no members but these. `where` is "" or ends in ": ". */
static bool
check_object(struct reader *reader, json_t *object, const char *where, const char *const *names)
{
    const char *key;
    json_t *value;

    if (!json_is_object(object))
        return err_set(reader->why, ERR_INPUT, "%sit must be an object, {...}", where);
    json_object_foreach(object, key, value)
    {
        bool known = false;

        for (size_t i = 0; !known && names[i] != NULL; i++)
            known = strcmp(key, names[i]) == 0;
        if (!known)
            return unknown_member(reader, where, key, names);
    }
    return true;
}

static bool
read_text(struct reader *reader, json_t *object, const char *name, struct text *out)
{
    const json_t *value = json_object_get(object, name);

    if (value == NULL)
        return true;
    if (!json_is_string(value))
        return err_set(reader->why, ERR_INPUT, "%s must be a text; leave it out for the default",
                       name);
    const struct text text = text_of_json(value);

    if (text.size == 0 || text.size > NAME_LIMIT || !text_is_clean(text))
        return err_set(reader->why, ERR_INPUT,
                       "%s must have 1 to %d bytes without control characters", name, NAME_LIMIT);
    return keep(reader, text, out);
}

static bool
read_cycle(struct reader *reader, json_t *root)
{
    struct text text = {NULL, 0};

    if (!read_text(reader, root, "cycle", &text))
        return false;
    reader->out->has_cycle = text.at != NULL;
    return text.at == NULL || cycle_read(text, &reader->out->cycle, reader->why) ||
           err_wrap(reader->why, "cycle");
}

/* ---- limits ----------------------------------------------------------------------------------- */

static bool
read_limit_text(struct reader *reader, const char *where, struct text text,
                struct limit_override *out)
{
    const char *must;

    if (text_eq(text, TEXT("unlimited"))) {
        out->unlimited = true;
        return true;
    }
    must = limit_read(text, reader->out->currency, &out->nano, &out->is_decimal);
    return must == NULL || err_set(reader->why, ERR_INPUT, "%s %s, or \"unlimited\"", where, must);
}

static bool
read_limit(struct reader *reader, const char *where, const json_t *value,
           struct limit_override *out)
{
    char number[NUMBER_ROOM];

    if (json_is_string(value))
        return read_limit_text(reader, where, text_of_json(value), out);
    if (json_is_real(value))
        return err_set(reader->why, ERR_INPUT,
                       "%s: write a number with decimals as a text, like \"250.00\"", where);
    if (!json_is_integer(value))
        return err_set(reader->why, ERR_INPUT,
                       "%s must be a number, a text like \"250.00\" or \"unlimited\"", where);
    (void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return read_limit_text(reader, where, text_of(number), out);
}

/* "burst/key": a limit of the plan that is no quota. */
static bool
is_burst(struct text name)
{
    enum burst_scope scope;

    return burst_named(name, &scope);
}

static bool
read_limits(struct reader *reader, const char *where, json_t *object,
            struct limit_override **limits, size_t *count)
{
    const char *key;
    json_t *value;
    char what[WHERE_ROOM];

    if (object == NULL)
        return true;
    if (!json_is_object(object))
        return err_set(reader->why, ERR_INPUT, "%slimits must be an object, {\"api_calls\": 500}",
                       where);
    if (json_object_size(object) > TENANT_LIMIT_LIMIT)
        return err_set(reader->why, ERR_INPUT, "%smore than %d limits", where, TENANT_LIMIT_LIMIT);
    *limits = arena_take(reader->arena, json_object_size(object) * sizeof **limits);
    if (*limits == NULL)
        return out_of_memory(reader);
    json_object_foreach(object, key, value)
    {
        struct limit_override *limit = &(*limits)[*count];
        const char *must = is_burst(text_of(key)) ? NULL : value_check_word(text_of(key));

        if (must != NULL)
            return err_set(reader->why, ERR_INPUT, "%slimits: the name of a quota %s", where, must);
        (void)snprintf(what, sizeof what, "%slimits.%s", where, key);
        if (!keep(reader, text_of(key), &limit->quota) || !read_limit(reader, what, value, limit))
            return false;
        ++*count;
    }
    return true;
}

/* ---- projects --------------------------------------------------------------------------------- */

static bool
read_project(struct reader *reader, const char *name, json_t *object, struct project_spec *project)
{
    static const char *const names[] = {"limits", NULL};
    const struct text text = text_of(name);
    char where[WHERE_ROOM];

    if (text.size == 0 || text.size > NAME_LIMIT || !text_is_clean(text))
        return err_set(reader->why, ERR_INPUT,
                       "projects: a name must have 1 to %d bytes without control characters",
                       NAME_LIMIT);
    (void)snprintf(where, sizeof where, "projects.%s: ", name);
    return check_object(reader, object, where, names) && keep(reader, text, &project->name) &&
           read_limits(reader, where, json_object_get(object, "limits"), &project->limits,
                       &project->limit_count);
}

static bool
read_projects(struct reader *reader, json_t *object)
{
    struct tenant_spec *out = reader->out;
    const char *name;
    json_t *value;

    if (object == NULL)
        return true;
    if (!json_is_object(object))
        return err_set(reader->why, ERR_INPUT, "projects must be an object, {\"web\": {}}");
    if (json_object_size(object) > TENANT_PROJECT_LIMIT)
        return err_set(reader->why, ERR_INPUT, "more than %d projects", TENANT_PROJECT_LIMIT);
    out->projects = arena_take(reader->arena, json_object_size(object) * sizeof *out->projects);
    if (out->projects == NULL)
        return out_of_memory(reader);
    json_object_foreach(object, name, value)
    {
        if (!read_project(reader, name, value, &out->projects[out->project_count]))
            return false;
        out->project_count++;
    }
    return true;
}

/* ---- the contract ----------------------------------------------------------------------------- */

static bool
read_spec(struct reader *reader, json_t *root)
{
    static const char *const names[] = {"plan",   "zone",   "cycle",    "currency",
                                        "charge", "limits", "projects", NULL};
    struct tenant_spec *out = reader->out;
    const char *must;

    if (!check_object(reader, root, "", names) || !read_text(reader, root, "plan", &out->plan) ||
        !read_text(reader, root, "zone", &out->zone) || !read_cycle(reader, root) ||
        !read_text(reader, root, "currency", &out->currency) ||
        !read_text(reader, root, "charge", &out->charge))
        return false;
    must = out->currency.at == NULL ? NULL : value_check_currency(out->currency);
    if (must != NULL)
        return err_set(reader->why, ERR_INPUT, "currency %s", must);
    return read_limits(reader, "", json_object_get(root, "limits"), &out->limits,
                       &out->limit_count) &&
           read_projects(reader, json_object_get(root, "projects"));
}

bool
tenant_spec_parse(struct text json, struct arena *arena, struct tenant_spec *out, struct err *why)
{
    struct reader reader = {.arena = arena, .out = out, .why = why};
    json_error_t error;
    json_t *root;
    bool good;

    *out = (struct tenant_spec){0};
    if (json.size > TENANT_SPEC_SIZE_LIMIT)
        return err_set(why, ERR_INPUT, "the contract is larger than 1 MiB");
    root = json_loadb(json.at, json.size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        return err_set(why, ERR_INPUT, "line %d, column %d: not JSON: %s", error.line, error.column,
                       error.text);
    good = read_spec(&reader, root);
    json_decref(root);
    return good;
}
