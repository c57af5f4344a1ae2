/* Columns of type jsonb, built with jansson. */
#include "sinks/store_private.h"

#include "core/clock.h"

#include <jansson.h>
#include <stdlib.h>

/* The text of a value that is given up, in the arena; absent when anything was short of memory. */
static struct text
dump(json_t *value, struct arena *arena)
{
    char *const made = value == NULL ? NULL : json_dumps(value, JSON_COMPACT);
    const struct text text = arena_text(arena, text_of(made));

    free(made);
    json_decref(value);
    return text;
}

static json_t *
text_json(struct text text)
{
    return text.at == NULL ? json_null() : json_stringn(text.at, text.size);
}

struct text
store_json_labels(const struct text labels[LABEL_COUNT], struct arena *arena)
{
    json_t *const object = json_object();
    bool good = object != NULL;

    for (size_t i = 0; good && i < LABEL_COUNT; i++)
        if (labels[i].at != NULL)
            good = json_object_set_new(object, label_names[i], text_json(labels[i])) == 0;
    if (good)
        return dump(object, arena);
    json_decref(object);
    return (struct text){NULL, 0};
}

/* Amounts are decimal text: a JSON number would be read as a double somewhere. */
static json_t *
amount_json(const struct restriction *restriction, tally amount)
{
    char text[TALLY_TEXT_SIZE];

    return json_string(restriction->is_money ? tally_format_money(amount, text)
                                             : tally_format_count(amount, text));
}

static json_t *
time_json(int64_t at_ms)
{
    char text[CLOCK_TEXT_SIZE];

    return at_ms == 0 || at_ms == INT64_MAX ? json_null() : json_string(clock_format(at_ms, text));
}

static json_t *
restriction_json(const struct restriction *restriction)
{
    json_t *const object =
        json_pack("{s:s, s:i, s:o, s:I, s:o, s:o}", "code", code_table[restriction->code].name,
                  "rank", restriction->rank, "rule", text_json(restriction->rule), "policy",
                  (json_int_t)restriction->policy, "since", time_json(restriction->since_ms),
                  "ends", time_json(restriction->ends_ms));

    if (object == NULL)
        return NULL;
    bool good = true;

    const bool breaker = restriction->code == CODE_feature_suspended;

    if (restriction->has_usage)
        good = json_object_set_new(object, breaker ? "observed" : "used",
                                   amount_json(restriction, restriction->used)) == 0 &&
               json_object_set_new(object, breaker ? "baseline" : "limit",
                                   amount_json(restriction, restriction->limit)) == 0;
    if (good && restriction->is_money)
        good = json_object_set_new(object, "currency", text_json(restriction->currency)) == 0;
    if (good && restriction->resets_ms != 0)
        good = json_object_set_new(object, "resets_at", time_json(restriction->resets_ms)) == 0;
    if (good && restriction->reason.at != NULL)
        good = json_object_set_new(object, "reason", text_json(restriction->reason)) == 0 &&
               json_object_set_new(object, "actor", text_json(restriction->actor)) == 0;
    if (good)
        return object;
    json_decref(object);
    return NULL;
}

struct text
store_json_restrictions(const struct scope_state *state, struct arena *arena)
{
    json_t *const array = json_array();
    bool good = array != NULL;

    for (size_t i = 0; good && i < state->count; i++)
        good = json_array_append_new(array, restriction_json(&state->restrictions[i])) == 0;
    if (good)
        return dump(array, arena);
    json_decref(array);
    return (struct text){NULL, 0};
}
