#include "sinks/advice.h"

#include "core/decision.h"

enum when {
    WHEN_WARNED,    /* firing, traffic flows */
    WHEN_LIMITED,   /* that, and it will be stopped or told of at a limit */
    WHEN_UNLIMITED, /* that, and there is none */
    WHEN_BLOCKED,   /* firing, traffic is restricted */
    WHEN_FIRING,    /* any of these */
};

struct row {
    const char *rule; /* the whole rule, or its kind: for those that have no row of their own */
    enum when when;
    const char *words;
    const char *command;
};

/* {tenant}, {feature} and {limit} (an option of `tenant set`) are quoted for a shell, {scope} is
 * percent-encoded. */
static const struct row rows[] = {
    {"quota", WHEN_BLOCKED, "Raise the limit; requests pass again within 2 seconds:",
     "tripmeter tenant set {tenant} {limit}=NEW --reason 'WHY'"},
    {"quota", WHEN_BLOCKED, "Or let the customer through while you decide:",
     "tripmeter allow {scope} --for 2h --reason 'WHY'"},
    {"quota", WHEN_BLOCKED, "Or do nothing: the block ends when the period resets.", ""},
    {"quota", WHEN_WARNED, "Look at all limits of the customer:", "tripmeter status {tenant}"},
    {"quota", WHEN_LIMITED, "If the use is wanted, raise the limit before it is reached:",
     "tripmeter tenant set {tenant} {limit}=NEW --reason 'WHY'"},
    {"quota", WHEN_UNLIMITED, "Nothing stops this use. If it is not wanted, set a limit:",
     "tripmeter tenant set {tenant} {limit}=NEW --reason 'WHY'"},
    {"pacing", WHEN_FIRING, "Look at all limits of the customer, and how fast they are used up:",
     "tripmeter status {tenant}"},
    {"pacing", WHEN_FIRING, "Nothing is blocked for it; the limit of the period still holds.", ""},
    {"forecast", WHEN_FIRING,
     "See what the customer has used, and would need:", "tripmeter report increase {tenant}"},
    {"forecast", WHEN_FIRING, "If the use is wanted, raise the limit before it is reached:",
     "tripmeter tenant set {tenant} {limit}=NEW --reason 'WHY'"},
    {"breaker/runaway", WHEN_FIRING, "See what is usual, and where that comes from:",
     "tripmeter breaker explain {tenant} {feature}"},
    {"breaker/runaway", WHEN_BLOCKED, "Found and put right? Let it pass again at once:",
     "tripmeter breaker reset {tenant} {feature} --reason 'WHY'"},
    {"breaker/runaway", WHEN_BLOCKED, "If this is how it will be from now on:",
     "tripmeter breaker accept {tenant} {feature} --reason 'WHY'"},
    {"breaker/runaway", WHEN_BLOCKED,
     "Or do nothing: it is probed and let through step by step, unless it was latched.", ""},
    {"breaker/runaway", WHEN_WARNED,
     "If it must stop now:", "tripmeter breaker trip {tenant} {feature} --for 1h --reason 'WHY'"},
    {"breaker/fleet", WHEN_FIRING, "See what is usual over all tenants, and where that comes from:",
     "tripmeter breaker explain '*' {feature}"},
    {"breaker/fleet", WHEN_BLOCKED, "Found and put right? Let it pass again at once:",
     "tripmeter breaker reset '*' {feature} --reason 'WHY'"},
    {"breaker/fleet", WHEN_BLOCKED,
     "Or do nothing: it is probed and let through step by step, unless it was latched.", ""},
    {"breaker/fleet", WHEN_WARNED, "If it must stop now, for everybody:",
     "tripmeter breaker trip '*' {feature} --for 1h --reason 'WHY'"},
    {"breaker/storm", WHEN_FIRING,
     "See what trips, and look at prices and duplicates first:", "tripmeter breaker list"},
    {"breaker/late_spend", WHEN_FIRING,
     "See the hours:", "tripmeter breaker explain {tenant} {feature}"},
    {"burst", WHEN_FIRING,
     "See who of the customer's sends too much:", "tripmeter status {tenant}"},
    {"burst", WHEN_FIRING, "If so many are wanted, raise the limit:",
     "tripmeter tenant set {tenant} {limit}=NEW --reason 'WHY'"},
    {"burst", WHEN_BLOCKED, "Or do nothing: it is let go as soon as it has fewer.", ""},
    {"anomaly", WHEN_FIRING,
     "See what is usual, and what else broke its records:", "tripmeter anomaly list {tenant}"},
    {"anomaly", WHEN_FIRING,
     "Nothing is blocked for it. Say what it was (`tripmeter anomaly real`, planned or normal), so "
     "that the next one is told, or not.",
     ""},
    {"anomaly/reservations", WHEN_FIRING,
     "SELECT * FROM tripmeter.v_reservation_unsettled names all of them; see whether their gateway "
     "still runs, and whether it settles what it reserves.",
     ""},
    {"anomaly/fallbacks", WHEN_FIRING,
     "See which features needed second attempts: SELECT * FROM tripmeter.v_feature_trouble.", ""},
    {"anomaly/output", WHEN_FIRING, "See what is usual:", "tripmeter anomaly show {tenant}"},
    {"anomaly/keys", WHEN_FIRING,
     "SELECT * FROM tripmeter.v_key_unusual names all of them; `tripmeter block key/TENANT/KEY` "
     "stops one that must not go on.",
     ""},
    {"anomaly/margin", WHEN_FIRING,
     "SELECT * FROM tripmeter.v_negative_margin names all models; see what the price lists say of "
     "them.",
     ""},
    {"delivery/dead", WHEN_FIRING,
     "Put the endpoint right. The alert closes with the next message that is delivered.", ""},
    {"delivery/dead", WHEN_FIRING,
     "What was not delivered is in table tripmeter.outbox, state dead.", ""},
    {"delivery/disabled", WHEN_FIRING,
     "Change its address in the configuration and reload, or set disabled_at and disabled_why of "
     "its row in tripmeter.endpoint_state to NULL.",
     ""},
    {"ingest/dead_events", WHEN_FIRING, "See what was refused, and why:", "tripmeter dead list"},
    {"ingest/partition_halted", WHEN_FIRING,
     "See what was refused, and why:", "tripmeter dead list"},
    {"ingest/partition_halted", WHEN_FIRING, "When it is put right, have it read on:",
     "tripmeter dead resume TOPIC/PARTITION --reason 'WHY'"},
    {"ingest/source_silent", WHEN_FIRING,
     "See whether that gateway runs and reaches Kafka. The alert closes when it is heard again.",
     ""},
    {"ingest/unknown_tenant", WHEN_FIRING, "See who they are:", "tripmeter tenant list --unknown"},
    {"ingest/unknown_project", WHEN_FIRING,
     "See which projects the tenant has:", "tripmeter tenant show {tenant}"},
};

static struct text
spoken_of(struct text rule)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (text_eq(rule, text_of(rows[i].rule)))
            return rule;
    return words_rule_kind(rule);
}

static bool
is_time_for(enum when when, const struct transition *transition)
{
    switch (when) {
    case WHEN_WARNED:
        return !transition->restricts;
    case WHEN_LIMITED:
        return !transition->restricts && !words_unlimited(transition);
    case WHEN_UNLIMITED:
        return words_unlimited(transition);
    case WHEN_BLOCKED:
        return transition->restricts;
    case WHEN_FIRING:
        return true;
    }
    return false;
}

static bool
applies(const struct row *row, const struct transition *transition)
{
    return text_eq(text_of(row->rule), spoken_of(transition->rule)) &&
           is_time_for(row->when, transition);
}

/* People copy commands out of mails: a tenant's name must stay one argument. */
static void
write_argument(struct writer *to, struct text name)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-";
    bool needs_quotes = name.size == 0 || name.at[0] == '-';

    for (size_t i = 0; i < name.size; i++)
        needs_quotes = needs_quotes || memchr(plain, name.at[i], sizeof plain - 1) == NULL;
    if (!needs_quotes) {
        writer_text(to, name);
        return;
    }
    writer_string(to, "'");
    for (size_t i = 0; i < name.size; i++)
        if (name.at[i] == '\'')
            writer_string(to, "'\\''");
        else
            writer_add(to, name.at + i, 1);
    writer_string(to, "'");
}

static void
write_scope(struct writer *to, const struct transition *transition)
{
    const struct text project = transition->labels[LABEL_PROJECT];
    char scope[SCOPE_SIZE];

    if (scope_build(scope, project.at == NULL ? "tenant" : "project",
                    transition->labels[LABEL_TENANT], project) > 0)
        writer_string(to, scope);
}

/* "--limit api_calls", "--project web:api_calls" */
static void
write_limit(struct writer *to, const struct transition *transition)
{
    const struct text project = transition->labels[LABEL_PROJECT];
    struct writer name = writer_new(ADVICE_SIZE);

    if (words_is(transition, "burst")) { /* its limits go by the whole name of the rule */
        writer_string(to, "--limit ");
        writer_text(to, transition->rule);
        writer_free(&name);
        return;
    }
    if (project.at != NULL) {
        writer_text(&name, project);
        writer_string(&name, ":");
    }
    writer_text(&name, words_rule_name(transition->rule));
    writer_string(to, project.at == NULL ? "--limit " : "--project ");
    write_argument(to, (struct text){writer_get(&name), name.size});
    writer_free(&name);
}

static void
expand(const char *template, const struct transition *transition, char out[ADVICE_SIZE])
{
    struct writer text = writer_new(ADVICE_SIZE);

    while (*template != '\0') {
        if (strncmp(template, "{tenant}", 8) == 0) {
            write_argument(&text, transition->labels[LABEL_TENANT]);
            template += 8;
        } else if (strncmp(template, "{feature}", 9) == 0) {
            write_argument(&text, transition->labels[LABEL_FEATURE]);
            template += 9;
        } else if (strncmp(template, "{scope}", 7) == 0) {
            write_scope(&text, transition);
            template += 7;
        } else if (strncmp(template, "{limit}", 7) == 0) {
            write_limit(&text, transition);
            template += 7;
        } else {
            writer_add(&text, template ++, 1);
        }
    }
    /* Half a command is worse than none. */
    (void)text_copy(out, ADVICE_SIZE,
                    text.full ? TEXT("") : (struct text){writer_get(&text), text.size});
    writer_free(&text);
}

size_t
advice_for(const struct alert_view *view, struct advice out[ADVICE_LIMIT])
{
    size_t count = 0;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && count < ADVICE_LIMIT; i++)
        if (view->kind == MESSAGE_FIRING && applies(&rows[i], &view->transition)) {
            expand(rows[i].words, &view->transition, out[count].words);
            expand(rows[i].command, &view->transition, out[count].command);
            count++;
        }
    return count;
}
