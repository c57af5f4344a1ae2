#include "core/alert.h"

const char *const severity_names[SEVERITY_COUNT] = {
    [SEVERITY_INFO] = "info",
    [SEVERITY_WARNING] = "warning",
    [SEVERITY_ERROR] = "error",
    [SEVERITY_CRITICAL] = "critical",
};

const char *const resolved_names[RESOLVED_COUNT] = {
    [RESOLVED_NOT] = "",
    [RESOLVED_CLEARED] = "cleared",
    [RESOLVED_PERIOD_ROLLOVER] = "period_rollover",
    [RESOLVED_LIMIT_RAISED] = "limit_raised",
    [RESOLVED_TOPPED_UP] = "topped_up",
    [RESOLVED_RULE_REMOVED] = "rule_removed",
    [RESOLVED_OPERATOR] = "operator",
    [RESOLVED_BREAKER_CLOSED] = "breaker_closed",
};

const char *const label_names[LABEL_COUNT] = {
    [LABEL_API_KEY_ID] = "api_key_id", [LABEL_ENDPOINT] = "endpoint",
    [LABEL_FEATURE] = "feature",       [LABEL_IP] = "ip",
    [LABEL_MODEL] = "model",           [LABEL_PARTITION] = "partition",
    [LABEL_PERIOD] = "period",         [LABEL_PROJECT] = "project",
    [LABEL_PROVIDER] = "provider",     [LABEL_SOURCE] = "source",
    [LABEL_TENANT] = "tenant",         [LABEL_TOPIC] = "topic",
};

struct room {
    size_t size;
    size_t used;
    bool full;
};

static void
put(char *out, struct room *room, struct text text)
{
    if (room->full || text.size > room->size - room->used) {
        room->full = true;
        return;
    }
    if (text.size > 0)
        memcpy(out + room->used, text.at, text.size);
    room->used += text.size;
}

size_t
alert_identity(char *out, size_t room, struct text rule, const struct text labels[LABEL_COUNT])
{
    const struct text end = {"", 1}; /* the NUL */
    struct room identity = {.size = room};

    put(out, &identity, TEXT("v1"));
    put(out, &identity, end);
    put(out, &identity, rule);
    put(out, &identity, end);
    for (size_t i = 0; i < LABEL_COUNT; i++) {
        if (labels[i].at == NULL)
            continue;
        put(out, &identity, text_of(label_names[i]));
        put(out, &identity, TEXT("="));
        put(out, &identity, labels[i]);
        put(out, &identity, end);
    }
    return identity.full ? 0 : identity.used;
}

struct transition *
transition_copy(const struct transition *from, struct arena *arena)
{
    struct transition *copy = arena_take(arena, sizeof *copy);
    bool kept;

    if (copy == NULL)
        return NULL;
    *copy = *from;
    kept = arena_keep(arena, &copy->rule) && arena_keep(arena, &copy->unit) &&
           arena_keep(arena, &copy->zone) && arena_keep(arena, &copy->summary);
    for (size_t i = 0; i < LABEL_COUNT; i++)
        kept = kept && arena_keep(arena, &copy->labels[i]);
    return kept ? copy : NULL;
}
