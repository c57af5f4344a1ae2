/* outbox_route: a transition becomes frozen messages, in one transaction. */
#include "sinks/alert_read.h"
#include "sinks/routing.h"

/* The transition under way and what is known around it. */
struct routed {
    struct outbox *outbox;
    const struct config *config;
    struct alert_view view;
    enum severity episode_severity;
    char group[GROUP_KEY_SIZE];
    PGresult *heard; /* endpoint, state, id of the episode's messages so far */
    PGresult *disabled;
};

/* ---- what endpoints heard -------------------------------------------------------------------- */

/* Locks the episode's messages: what is claimed meanwhile is seen as under way, what waits stays so
 * until we commit. */
static bool
ask_heard(struct routed *routed, struct err *why)
{
    const struct alert_view *view = &routed->view;
    char episode[NUMBER_SIZE];
    const char *const values[] = {view->fingerprint.at, number_text(view->episode, episode)};

    routed->heard = outbox_run(routed->outbox,
                               "SELECT endpoint, state, id FROM tripmeter.outbox"
                               " WHERE fingerprint = $1 AND episode = $2::bigint"
                               " AND state <> 'suppressed' ORDER BY seq, id FOR UPDATE",
                               values, 2, why);
    if (routed->heard == NULL)
        return false;
    routed->disabled =
        outbox_run(routed->outbox,
                   "SELECT endpoint FROM tripmeter.endpoint_state WHERE disabled_at IS NOT NULL",
                   NULL, 0, why);
    return routed->disabled != NULL;
}

static struct heard
heard_by(const struct routed *routed, const char *endpoint, const char **thread)
{
    struct heard heard = {.any = false};

    *thread = NULL;
    for (int row = 0; row < PQntuples(routed->heard); row++) {
        const char *state = PQgetvalue(routed->heard, row, 1);

        if (strcmp(PQgetvalue(routed->heard, row, 0), endpoint) != 0)
            continue;
        heard.any = true;
        heard.told = heard.told || strcmp(state, "delivered") == 0 || strcmp(state, "leased") == 0;
        heard.waiting =
            heard.waiting || strcmp(state, "queued") == 0 || strcmp(state, "retry") == 0;
        if (*thread == NULL)
            *thread = PQgetvalue(routed->heard, row, 2);
    }
    return heard;
}

static bool
is_disabled(const struct routed *routed, const char *endpoint)
{
    for (int row = 0; row < PQntuples(routed->disabled); row++)
        if (strcmp(PQgetvalue(routed->disabled, row, 0), endpoint) == 0)
            return true;
    return false;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void
message_id(const char *endpoint, const char *group, int64_t seq, char out[MESSAGE_ID_SIZE])
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567"; /* RFC 4648, lower case */
    char number[NUMBER_SIZE];
    const struct text parts[] = {text_of(endpoint), text_of(group),
                                 text_of(number_text(seq, number))};
    unsigned char hash[32];

    outbox_hash(parts, 3, hash);
    hash[16] = 0; /* the last of 26 characters has 3 bits of 16 bytes and 2 of nothing */
    memcpy(out, "tm_", 3);
    for (size_t i = 0; i < 26; i++) {
        const size_t bit = 5 * i;
        const unsigned pair = (unsigned)hash[bit / 8] << 8 | hash[bit / 8 + 1];

        out[3 + i] = alphabet[pair >> (11 - bit % 8) & 31];
    }
    out[29] = '\0';
}

static bool
next_in_group(struct routed *routed, const char *endpoint, int64_t *seq, struct err *why)
{
    const char *const values[] = {endpoint, routed->group};
    PGresult *rows =
        outbox_run(routed->outbox,
                   "INSERT INTO tripmeter.delivery_group AS g (endpoint, group_key, last_seq)"
                   " VALUES ($1, $2, 1) ON CONFLICT (endpoint, group_key)"
                   " DO UPDATE SET last_seq = g.last_seq + 1 RETURNING last_seq",
                   values, 2, why);

    if (rows != NULL)
        *seq = column_number(rows, 0, 0);
    PQclear(rows);
    return rows != NULL;
}

struct frozen {
    const struct endpoint *endpoint;
    const char *thread;     /* NULL: none yet */
    const char *suppressed; /* why nothing is sent, or NULL */
    enum message_kind kind;
    int64_t wait_ms;
    struct message message;
};

static const char insert_sql[] =
    "INSERT INTO tripmeter.outbox (id, endpoint, kind, group_key, group_seq, fingerprint, episode,"
    " seq, thread, message, severity, state, reason, subject, body, html, next_at, created_at,"
    " finished_at) VALUES ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
    " CASE WHEN $13::text IS NULL THEN 'queued' ELSE 'suppressed' END, $13, $14, $15, $16,"
    " " NOW " + $17::integer * interval '1 ms', " NOW ","
    " CASE WHEN $13::text IS NOT NULL THEN " NOW " END)";

static bool
insert(struct routed *routed, const struct frozen *frozen, struct err *why)
{
    const struct alert_view *view = &routed->view;
    char numbers[4][NUMBER_SIZE];
    char id[MESSAGE_ID_SIZE];
    int64_t seq = 0;

    if (!next_in_group(routed, frozen->endpoint->name, &seq, why))
        return false;
    message_id(frozen->endpoint->name, routed->group, seq, id);
    const char *const values[] = {outbox_now(routed->outbox),
                                  id,
                                  frozen->endpoint->name,
                                  frozen->endpoint->kind == ENDPOINT_EMAIL ? "email" : "webhook",
                                  routed->group,
                                  number_text(seq, numbers[0]),
                                  view->fingerprint.at,
                                  number_text(view->episode, numbers[1]),
                                  number_text(view->seq, numbers[2]),
                                  frozen->thread,
                                  message_kind_names[frozen->kind],
                                  severity_names[routed->episode_severity],
                                  frozen->suppressed,
                                  frozen->message.subject.at,
                                  frozen->message.body.at == NULL ? "" : frozen->message.body.at,
                                  frozen->message.html.at,
                                  number_text(frozen->wait_ms, numbers[3])};

    return outbox_do(routed->outbox, insert_sql, values, 17, why);
}

static bool
render(struct routed *routed, const struct receiver *receiver, struct frozen *frozen,
       struct err *why)
{
    struct alert_view view = routed->view;
    struct arena *arena = routed->outbox->arena;

    view.kind = frozen->kind;
    view.receiver = receiver->name;
    view.group_key = routed->group;
    view.link = routed->config->alerts.link;
    return frozen->endpoint->kind == ENDPOINT_EMAIL
               ? message_mail(&view, arena, &frozen->message, why)
               : message_webhook(&view, arena, &frozen->message, why);
}

/* What waits for this endpoint of this episode is not sent any more. */
static bool
supersede(struct routed *routed, const char *endpoint, struct err *why)
{
    char episode[NUMBER_SIZE];
    const char *const values[] = {outbox_now(routed->outbox), endpoint, routed->view.fingerprint.at,
                                  number_text(routed->view.episode, episode)};

    return outbox_do(routed->outbox,
                     "UPDATE tripmeter.outbox SET state = 'superseded', finished_at = " NOW ","
                     " reason = 'over before it was delivered' WHERE endpoint = $2"
                     " AND fingerprint = $3 AND episode = $4::bigint"
                     " AND state IN ('queued', 'retry')",
                     values, 4, why);
}

/* Nothing that is urgent waits behind the group_wait of what is not. */
static bool
hurry_group(struct routed *routed, const char *endpoint, struct err *why)
{
    const char *const values[] = {outbox_now(routed->outbox), endpoint, routed->group};

    return outbox_do(routed->outbox,
                     "UPDATE tripmeter.outbox SET next_at = " NOW
                     " WHERE endpoint = $2 AND group_key = $3 AND state = 'queued'"
                     " AND next_at > " NOW,
                     values, 3, why);
}

static bool
tell(struct routed *routed, const struct receiver *receiver, const struct endpoint *endpoint,
     struct err *why)
{
    const struct transition *transition = &routed->view.transition;
    const bool urgent = transition->severity == SEVERITY_CRITICAL || routed->view.restricted ||
                        transition->move == MOVE_RESOLVE;
    struct frozen frozen = {.endpoint = endpoint,
                            .wait_ms = urgent ? 0 : routed->config->alerts.group_wait_ms};
    const struct routing_case row = {
        .move = transition->move,
        .severity = transition->severity,
        .reason = transition->reason,
        .restricted = routed->view.restricted,
        .lasted_ms = transition->at_ms - routed->view.since_ms,
        .kind = endpoint->kind,
        .heard = heard_by(routed, endpoint->name, &frozen.thread),
    };
    const enum routing_word word = routing_decide(&row);

    if (word == ROUTE_NOTHING)
        return true;
    if ((word == ROUTE_MISSED || word == ROUTE_FORGET) && !supersede(routed, endpoint->name, why))
        return false;
    if (word == ROUTE_FORGET)
        return true;
    frozen.kind = word == ROUTE_MISSED               ? MESSAGE_MISSED
                  : transition->move == MOVE_RESOLVE ? MESSAGE_RESOLVED
                                                     : MESSAGE_FIRING;
    if (word == ROUTE_SUPPRESS)
        frozen.suppressed = resolved_names[RESOLVED_PERIOD_ROLLOVER];
    else if (is_disabled(routed, endpoint->name))
        frozen.suppressed = "endpoint is disabled";
    if (frozen.suppressed != NULL)
        return insert(routed, &frozen, why);
    return render(routed, receiver, &frozen, why) && insert(routed, &frozen, why) &&
           (!urgent || hurry_group(routed, endpoint->name, why));
}

/* An endpoint is not told of its own troubles: it could not hear of them. */
static bool
is_about(const struct routed *routed, const struct endpoint *endpoint)
{
    return text_eq(words_rule_kind(routed->view.transition.rule), TEXT("delivery")) &&
           text_eq(routed->view.transition.labels[LABEL_ENDPOINT], text_of(endpoint->name));
}

static bool
tell_receiver(struct routed *routed, const struct receiver *receiver, size_t *told, struct err *why)
{
    for (size_t i = 0; i < receiver->endpoint_count; i++) {
        if (is_about(routed, &receiver->endpoints[i]))
            continue;
        if (!tell(routed, receiver, &receiver->endpoints[i], why))
            return false;
        *told += 1;
    }
    return true;
}

static bool
tell_all(struct routed *routed, struct err *why)
{
    const struct config *config = routed->config;
    const struct transition *transition = &routed->view.transition;
    const struct receiver *receiver = routing_receiver(config, transition->rule);
    size_t told = 0;

    if (receiver != NULL && !tell_receiver(routed, receiver, &told, why))
        return false;
    /* Nobody left: somebody of another receiver must hear of it. */
    for (size_t i = 0; i < config->alerts.receiver_count && told == 0; i++)
        if (!tell_receiver(routed, &config->alerts.receivers[i], &told, why))
            return false;
    return true;
}

static bool
mark_routed(struct routed *routed, struct err *why)
{
    char numbers[2][NUMBER_SIZE];
    const char *const values[] = {outbox_now(routed->outbox), routed->view.fingerprint.at,
                                  number_text(routed->view.episode, numbers[0]),
                                  number_text(routed->view.seq, numbers[1])};

    return outbox_do(routed->outbox,
                     "UPDATE tripmeter.transition SET routed_at = " NOW
                     " WHERE fingerprint = $2 AND episode = $3::bigint AND seq = $4::bigint",
                     values, 4, why);
}

static bool
read_all(struct routed *routed, const PGresult *rows, struct err *why)
{
    return alert_read(routed->outbox, rows, &routed->view, &routed->episode_severity, why) &&
           (routing_group(&routed->view.transition, routed->group) ||
            err_set(why, ERR_RETRY, "alert %s has labels that are too long",
                    routed->view.fingerprint.at)) &&
           alert_evidence(routed->outbox, &routed->view, why);
}

static int
route_one(struct routed *routed, struct err *why)
{
    PGresult *rows = outbox_run(routed->outbox, alert_next_sql, NULL, 0, why);
    int done = -1;

    if (rows == NULL)
        return -1;
    if (PQntuples(rows) == 0)
        done = 0;
    else if (read_all(routed, rows, why) && ask_heard(routed, why) && tell_all(routed, why) &&
             mark_routed(routed, why))
        done = 1;
    PQclear(rows);
    PQclear(routed->heard);
    PQclear(routed->disabled);
    return done;
}

int
outbox_route(struct outbox *outbox, const struct config *config, struct err *why)
{
    struct routed routed = {.outbox = outbox, .config = config};
    struct err ignored;

    arena_clear(outbox->arena);
    if (!outbox_do(outbox, "BEGIN", NULL, 0, why))
        return -1;
    const int done = route_one(&routed, why);

    if (done >= 0 && outbox_do(outbox, "COMMIT", NULL, 0, why))
        return done;
    (void)outbox_do(outbox, "ROLLBACK", NULL, 0, &ignored);
    return -1;
}
