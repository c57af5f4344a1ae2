#include "core/decision.h"

#include "core/fleet.h"

const char *const outcome_names[OUTCOME_COUNT] = {
    [OUTCOME_ALLOW] = "allow",
    [OUTCOME_DOWNGRADE] = "downgrade",
    [OUTCOME_THROTTLE] = "throttle",
    [OUTCOME_BLOCK] = "block",
};

const struct code_row code_table[CODE_COUNT] = {
#define CODE(name, rank, outcome, status, retryable, action) \
    [CODE_##name] = {#name, rank, OUTCOME_##outcome, status, retryable, action},
#include "core/decision.def"
#undef CODE
};

/* What may stand first in a scope, and how many parts follow it. */
static const struct {
    const char *name;
    size_t parts;
} kinds[] = {
    {"tenant", 1}, {"project", 2}, {"key", 2},   {"feature", 2},
    {"model", 2},  {"ip", 2},      {"quota", 2},
};

static bool
put_part(char out[SCOPE_SIZE], size_t *used, struct text part)
{
    if (part.at == NULL)
        return true;
    if (*used + 2 > SCOPE_SIZE)
        return false;
    out[(*used)++] = '/';
    out[*used] = '\0';

    const size_t size = text_percent_encode(out + *used, SCOPE_SIZE - *used, part);

    *used += size;
    return size > 0 || part.size == 0;
}

/* The fleet's name is the one that stands as it is. */
static bool
put_tenant(char out[SCOPE_SIZE], size_t *used, struct text tenant)
{
    if (!text_eq(tenant, FLEET_TENANT))
        return put_part(out, used, tenant);
    if (*used + 3 > SCOPE_SIZE)
        return false;
    memcpy(out + *used, "/*", 3);
    *used += 2;
    return true;
}

size_t
scope_build(char out[SCOPE_SIZE], const char *kind, struct text a, struct text b)
{
    size_t used = text_copy(out, SCOPE_SIZE, text_of(kind));

    if (used == strlen(kind) && put_tenant(out, &used, a) && put_part(out, &used, b))
        return used;
    out[0] = '\0';
    return 0;
}

/* Takes what stands before the next '/' off the scope; false when nothing is left. */
static bool
take_part(struct text *rest, struct text *part)
{
    if (rest->at == NULL)
        return false;

    const char *slash = rest->size == 0 ? NULL : memchr(rest->at, '/', rest->size);

    *part = *rest;
    *rest = (struct text){NULL, 0};
    if (slash != NULL) {
        const size_t size = (size_t)(slash - part->at);

        *rest = (struct text){slash + 1, part->size - size - 1};
        part->size = size;
    }
    return true;
}

static bool
take_decoded(struct text *rest, struct arena *arena, struct text *out)
{
    struct text part;
    size_t size = 0;

    if (!take_part(rest, &part))
        return false;

    char *to = arena_take(arena, part.size + 1);

    if (to == NULL || !text_percent_decode(to, part.size + 1, part, &size))
        return false;
    *out = (struct text){to, size};
    return text_is_clean(*out);
}

bool
scope_split(struct text scope, struct arena *arena, struct scope_parts *out)
{
    struct text rest = scope;
    size_t i = 0;

    *out = (struct scope_parts){0};
    if (!take_part(&rest, &out->kind))
        return false;
    while (i < sizeof kinds / sizeof kinds[0] && !text_eq(out->kind, text_of(kinds[i].name)))
        i++;
    if (i == sizeof kinds / sizeof kinds[0])
        return false;
    out->kind = text_of(kinds[i].name);
    if (!take_decoded(&rest, arena, &out->a))
        return false;
    if (kinds[i].parts == 2 && !take_decoded(&rest, arena, &out->b))
        return false;
    return rest.at == NULL;
}

static int
restriction_compare(const struct restriction *a, const struct restriction *b)
{
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->code != b->code)
        return a->code < b->code ? -1 : 1;
    return text_compare(a->rule, b->rule);
}

void
scope_restrict(struct scope_state *state, const struct restriction *restriction)
{
    size_t at = state->count;

    while (at > 0 && restriction_compare(restriction, &state->restrictions[at - 1]) < 0)
        at--;
    if (at == RESTRICTION_LIMIT)
        return;
    if (state->count < RESTRICTION_LIMIT)
        state->count++;
    memmove(&state->restrictions[at + 1], &state->restrictions[at],
            (state->count - at - 1) * sizeof *restriction);
    state->restrictions[at] = *restriction;
}

enum outcome
restriction_outcome(const struct restriction *restriction)
{
    return restriction->throttles ? OUTCOME_THROTTLE : code_table[restriction->code].outcome;
}

const struct restriction *
scope_answer(const struct scope_state *state)
{
    const struct restriction *downgrade = NULL;

    for (size_t i = 0; i < state->count; i++) {
        const struct restriction *restriction = &state->restrictions[i];
        const enum outcome outcome = restriction_outcome(restriction);

        if (outcome == OUTCOME_BLOCK || outcome == OUTCOME_THROTTLE)
            return restriction;
        if (downgrade == NULL && outcome == OUTCOME_DOWNGRADE)
            downgrade = restriction;
    }
    return downgrade;
}

enum outcome
scope_outcome(const struct scope_state *state)
{
    const struct restriction *answer = scope_answer(state);

    return answer == NULL ? OUTCOME_ALLOW : restriction_outcome(answer);
}

struct scope_state *
scope_copy(const struct scope_state *from, struct arena *arena)
{
    struct scope_state *copy = arena_take(arena, sizeof *copy);
    bool kept;

    if (copy == NULL)
        return NULL;
    *copy = *from;
    kept = arena_keep(arena, &copy->scope) && arena_keep(arena, &copy->tenant) &&
           arena_keep(arena, &copy->trigger);
    for (size_t i = 0; i < copy->count; i++) {
        struct restriction *restriction = &copy->restrictions[i];

        kept = kept && arena_keep(arena, &restriction->rule) &&
               arena_keep(arena, &restriction->currency) &&
               arena_keep(arena, &restriction->reason) && arena_keep(arena, &restriction->actor);
    }
    return kept ? copy : NULL;
}
