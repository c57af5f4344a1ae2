/* outbox_route: transitions become frozen messages, a batch in one transaction. */
#include "sinks/freeze.h"

#include "config/now.h"

#define TARGET_LIMIT 128 /* from here on a batch takes no further transition */
#define TARGET_ROOM  (TARGET_LIMIT + ENDPOINT_LIMIT) /* one transition goes to one receiver */
#define GATHER_MS    200 /* a slow database must not keep the first alert from being sent */

/* ---- what endpoints heard -------------------------------------------------------------------- */

static struct heard
heard_by(const struct batch *batch, size_t number, const char **thread)
{
    struct heard heard = {.any = false};

    *thread = NULL;
    for (int row = 0; row < PQntuples(batch->heard); row++) {
        const char *state = PQgetvalue(batch->heard, row, 1);

        if (pg_read_int(batch->heard, row, 0) != (int64_t)number + 1)
            continue;
        heard.any = true;
        heard.told = heard.told || strcmp(state, "delivered") == 0 || strcmp(state, "leased") == 0;
        heard.waiting =
            heard.waiting || strcmp(state, "queued") == 0 || strcmp(state, "retry") == 0;
        if (*thread == NULL)
            *thread = PQgetvalue(batch->heard, row, 2);
    }
    return heard;
}

static bool
is_disabled(const struct batch *batch, const char *endpoint)
{
    for (int row = 0; row < PQntuples(batch->disabled); row++)
        if (strcmp(PQgetvalue(batch->disabled, row, 0), endpoint) == 0)
            return true;
    return false;
}

/* ---- who is told what ------------------------------------------------------------------------ */

static bool
no_memory(struct err *why)
{
    return err_set(why, ERR_RETRY, "no memory to route alerts");
}

static bool
freeze(struct batch *batch, const struct frozen *message, struct err *why)
{
    struct frozen *const frozen = list_add(&batch->frozen);

    if (frozen == NULL)
        return no_memory(why);
    *frozen = *message;
    frozen->group_seq = ++batch->last_seq[message->target->group];
    return true;
}

static bool
note(struct list *list, const struct target *target, struct err *why)
{
    const struct target **const place = list_add(list);

    if (place == NULL)
        return no_memory(why);
    *place = target;
    return true;
}

static bool
render(const struct batch *batch, struct frozen *frozen, struct err *why)
{
    const struct target *const target = frozen->target;
    struct alert_view view = target->routed->view;
    struct arena *const arena = batch->outbox->arena;

    view.kind = frozen->kind;
    view.receiver = target->receiver->name;
    view.group_key = target->routed->group;
    view.link = batch->config->alerts.link;
    return target->endpoint->kind == ENDPOINT_EMAIL
               ? message_mail(&view, arena, &frozen->message, why)
               : message_webhook(&view, arena, &frozen->message, why);
}

/* What waits in the group, in the database or in this batch, goes out with what is urgent. */
static bool
hurry(struct batch *batch, const struct target *target, struct err *why)
{
    for (size_t i = 0; i < batch->frozen.count; i++) {
        struct frozen *const earlier = list_at(&batch->frozen, i);

        if (earlier->target->group == target->group)
            earlier->wait_ms = 0;
    }
    return note(&batch->hurried, target, why);
}

static bool
tell(struct batch *batch, size_t number, struct err *why)
{
    const struct target *const target = list_at(&batch->targets, number);
    const struct alert_view *const view = &target->routed->view;
    const struct transition *const transition = &view->transition;
    const bool urgent = transition->severity == SEVERITY_CRITICAL || view->restricted ||
                        transition->move == MOVE_RESOLVE;
    struct frozen frozen = {.target = target,
                            .wait_ms = urgent ? 0 : batch->config->alerts.group_wait_ms};
    const struct routing_case row = {
        .move = transition->move,
        .severity = transition->severity,
        .reason = transition->reason,
        .restricted = view->restricted,
        .lasted_ms = transition->at_ms - view->since_ms,
        .kind = target->endpoint->kind,
        .heard = heard_by(batch, number, &frozen.thread),
    };
    const enum routing_word word = routing_decide(&row);

    if (word == ROUTE_NOTHING)
        return true;
    if ((word == ROUTE_MISSED || word == ROUTE_FORGET) && !note(&batch->superseded, target, why))
        return false;
    if (word == ROUTE_FORGET)
        return true;
    frozen.kind = word == ROUTE_MISSED               ? MESSAGE_MISSED
                  : transition->move == MOVE_RESOLVE ? MESSAGE_RESOLVED
                                                     : MESSAGE_FIRING;
    if (word == ROUTE_SUPPRESS)
        frozen.suppressed = resolved_names[RESOLVED_PERIOD_ROLLOVER];
    else if (is_disabled(batch, target->endpoint->name))
        frozen.suppressed = "endpoint is disabled";
    if (frozen.suppressed != NULL)
        return freeze(batch, &frozen, why);
    return render(batch, &frozen, why) && freeze(batch, &frozen, why) &&
           (!urgent || hurry(batch, target, why));
}

static bool
tell_all(struct batch *batch, struct err *why)
{
    for (size_t i = 0; i < batch->targets.count; i++)
        if (!tell(batch, i, why))
            return false;
    return true;
}

/* ---- who may be told ------------------------------------------------------------------------- */

/* An endpoint is not told of its own troubles: it could not hear of them. */
static bool
is_about(const struct routed *routed, const struct endpoint *endpoint)
{
    return text_eq(words_rule_kind(routed->view.transition.rule), TEXT("delivery")) &&
           text_eq(routed->view.transition.labels[LABEL_ENDPOINT], text_of(endpoint->name));
}

static bool
aim_at(struct batch *batch, const struct routed *routed, const struct receiver *receiver)
{
    for (size_t i = 0; i < receiver->endpoint_count; i++) {
        if (is_about(routed, &receiver->endpoints[i]))
            continue;
        struct target *const target = list_add(&batch->targets);

        if (target == NULL)
            return false;
        *target = (struct target){
            .routed = routed, .receiver = receiver, .endpoint = &receiver->endpoints[i]};
    }
    return true;
}

static bool
aim(struct batch *batch, const struct routed *routed)
{
    const struct config *const config = batch->config;
    const struct receiver *const receiver = routing_receiver(config, routed->view.transition.rule);
    const size_t before = batch->targets.count;

    if (receiver != NULL && !aim_at(batch, routed, receiver))
        return false;
    /* Nobody left: somebody of another receiver must hear of it. */
    for (size_t i = 0; i < config->alerts.receiver_count && batch->targets.count == before; i++)
        if (!aim_at(batch, routed, &config->alerts.receivers[i]))
            return false;
    return true;
}

/* ---- a batch --------------------------------------------------------------------------------- */

static bool
gather_one(struct batch *batch, const PGresult *rows, int row, struct err *why)
{
    struct routed *const routed = &batch->at[batch->count];
    const size_t before = batch->targets.count;
    char group[GROUP_KEY_SIZE];

    if (!alert_read(batch->outbox, rows, row, &routed->view, &routed->episode_severity, why))
        return false;
    if (!routing_group(&routed->view.transition, group))
        return err_set(why, ERR_RETRY, "alert %s has labels that are too long",
                       routed->view.fingerprint.at);
    routed->group = arena_text(batch->outbox->arena, text_of(group)).at;
    if (routed->group == NULL || !aim(batch, routed))
        return no_memory(why);
    if (batch->targets.count > before && !alert_evidence(batch->outbox, &routed->view, why))
        return false;
    batch->count++;
    return true;
}

/* As many of the transitions as go together; the others are taken next. */
static bool
gather(struct batch *batch, const PGresult *rows, struct err *why)
{
    const int64_t until_ms = now_steady_ms() + GATHER_MS;
    const int count = PQntuples(rows);

    batch->at = arena_take(batch->outbox->arena, (size_t)count * sizeof *batch->at);
    if (batch->at == NULL)
        return no_memory(why);
    for (int row = 0; row < count; row++) {
        if (row > 0 && (batch->targets.count >= TARGET_LIMIT || now_steady_ms() >= until_ms))
            break;
        if (!gather_one(batch, rows, row, why))
            return false;
    }
    return true;
}

static bool
write_all(struct batch *batch, struct err *why)
{
    if (batch->targets.count > 0 && (!freeze_lock(batch, why) || !tell_all(batch, why)))
        return false;
    return freeze_write(batch, why);
}

static int
route_batch(struct batch *batch, int most, struct err *why)
{
    PGresult *const rows = alert_take(batch->outbox, most, why);
    int done = -1;

    if (rows == NULL)
        return -1;
    if (PQntuples(rows) == 0)
        done = 0;
    else if (gather(batch, rows, why) && write_all(batch, why))
        done = (int)batch->count;
    PQclear(rows);
    return done;
}

static int
least(int a, int b)
{
    return a < b ? a : b;
}

int
outbox_route(struct outbox *outbox, const struct config *config, struct err *why)
{
    struct batch batch = {.outbox = outbox, .config = config};
    struct err ignored;

    arena_clear(outbox->arena);
    list_init(&batch.targets, sizeof(struct target), TARGET_ROOM);
    list_init(&batch.frozen, sizeof(struct frozen), TARGET_ROOM);
    list_init(&batch.superseded, sizeof(struct target *), TARGET_ROOM);
    list_init(&batch.hurried, sizeof(struct target *), TARGET_ROOM);
    int done = route_batch(&batch, outbox->route_most, why);

    if (done < 0 || !outbox_do(outbox, "COMMIT", NULL, 0, why)) {
        (void)outbox_do(outbox, "ROLLBACK", NULL, 0, &ignored);
        done = -1;
    }
    /* One that cannot be routed must not hold up those before it. */
    outbox->route_most = done < 0 ? 1 : least(outbox->route_most * 2, ROUTE_LIMIT);
    PQclear(batch.groups);
    PQclear(batch.heard);
    PQclear(batch.disabled);
    list_free(&batch.targets);
    list_free(&batch.frozen);
    list_free(&batch.superseded);
    list_free(&batch.hurried);
    return done;
}
