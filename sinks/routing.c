#include "sinks/routing.h"

/* Kinds of rules that are about a tenant's money; a routing tree will take this table's place. */
static const char *const tenant_kinds[] = {"quota",   "pacing",  "forecast", "budget",
                                           "balance", "prepaid", "period"};

enum routing_word
routing_decide(const struct routing_case *row)
{
    const bool matters = row->restricted || row->lasted_ms >= MISSED_MS;

    if (row->move != MOVE_RESOLVE)
        return row->kind == ENDPOINT_WEBHOOK || row->severity != SEVERITY_INFO ? ROUTE_SEND
                                                                               : ROUTE_NOTHING;
    if (!row->heard.any)
        return ROUTE_NOTHING;
    if (row->reason == RESOLVED_PERIOD_ROLLOVER && !row->restricted)
        return ROUTE_SUPPRESS;
    if (row->heard.told)
        return ROUTE_SEND;
    if (matters)
        return ROUTE_MISSED;
    return row->heard.waiting ? ROUTE_FORGET : ROUTE_NOTHING;
}

const struct receiver *
routing_receiver(const struct config *config, struct text rule)
{
    const struct text kind = words_rule_kind(rule);
    const char *name = config->alerts.engine_alerts;

    for (size_t i = 0; i < sizeof tenant_kinds / sizeof tenant_kinds[0]; i++)
        if (text_eq(kind, text_of(tenant_kinds[i])))
            name = config->alerts.tenant_alerts;
    for (size_t i = 0; i < config->alerts.receiver_count && name != NULL; i++)
        if (strcmp(config->alerts.receivers[i].name, name) == 0)
            return &config->alerts.receivers[i];
    return NULL;
}

static void
write_label(struct writer *to, const char *name, struct text value)
{
    writer_format(to, "%s=\"", name);
    for (size_t i = 0; i < value.size; i++) {
        if (value.at[i] == '"' || value.at[i] == '\\')
            writer_string(to, "\\");
        writer_add(to, value.at + i, 1);
    }
    writer_string(to, "\"");
}

bool
routing_group(const struct transition *transition, char out[GROUP_KEY_SIZE])
{
    struct writer key = writer_new(GROUP_KEY_SIZE);
    /* An endpoint's own troubles are a group each: they must not wait for one another. */
    const struct text endpoint = transition->labels[LABEL_ENDPOINT];

    writer_string(&key, "{");
    if (endpoint.at != NULL) {
        write_label(&key, "endpoint", endpoint);
        writer_string(&key, ",");
    }
    write_label(&key, "rule", transition->rule);
    if (transition->labels[LABEL_TENANT].at != NULL) {
        writer_string(&key, ",");
        write_label(&key, "tenant", transition->labels[LABEL_TENANT]);
    }
    writer_string(&key, "}");
    const bool fits = !key.full;

    (void)text_copy(out, GROUP_KEY_SIZE, (struct text){writer_get(&key), key.size});
    writer_free(&key);
    return fits;
}
