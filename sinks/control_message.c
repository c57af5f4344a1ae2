#include "sinks/control_message.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

/* A record of ours stays far below; a larger one is not ours. */
enum { VALUE_SIZE_LIMIT = 256 * 1024, SENTENCE_SIZE = 512, BURST_RANK = 4 };

/* What the caller of the gateway reads, and OpenAI's word for the kind of error. */
static const struct {
    const char *type;
    const char *sentence;
} words[CODE_COUNT] = {
    [CODE_tenant_disabled] = {"permission_error", "This account is disabled."},
    [CODE_key_revoked] = {"permission_error", "This API key has been revoked."},
    [CODE_feature_not_allowed] = {"permission_error", "This feature is not allowed for the key."},
    [CODE_region_not_supported] = {"permission_error", "This region is not supported."},
    [CODE_compliance_hold] = {"permission_error", "This account is on hold."},
    [CODE_unknown_project] = {"permission_error", "This project is not known."},
    [CODE_model_not_allowed] = {"permission_error", "The plan does not include this model."},
    [CODE_model_downgraded] = {"permission_error", "Another model serves this request."},
    [CODE_plan_allowance_exhausted] = {"insufficient_quota", "The plan's allowance is used up."},
    [CODE_project_budget_exhausted] = {"insufficient_quota", "The project's budget is used up."},
    [CODE_key_rate_limited] = {"rate_limit_error", "Too many requests with this key."},
    [CODE_tenant_rate_limited] = {"rate_limit_error", "Too many requests of this account."},
    [CODE_ip_rate_limited] = {"rate_limit_error", "Too many requests from this address."},
    [CODE_feature_rate_limited] = {"rate_limit_error", "Too many requests for this feature."},
    [CODE_feature_suspended] = {"rate_limit_error", "This feature is suspended for a while."},
    [CODE_prepaid_balance_too_low] = {"insufficient_quota", "The prepaid balance is too low."},
    [CODE_quota_state_unavailable] = {"server_error", "The state of the quota is not known."},
};

static int64_t
uncut_expiry(const struct restriction *restriction)
{
    const int64_t grace = restriction->rank == BURST_RANK ? 0 : CONTROL_EXPIRY_GRACE_MS;

    return restriction->ends_ms > INT64_MAX - grace ? INT64_MAX : restriction->ends_ms + grace;
}

int64_t
control_expiry(const struct restriction *restriction, int64_t now_ms)
{
    return control_expiry_is_cut(restriction, now_ms) ? now_ms + CONTROL_EXPIRY_LIMIT_MS
                                                      : uncut_expiry(restriction);
}

bool
control_expiry_is_cut(const struct restriction *restriction, int64_t now_ms)
{
    return uncut_expiry(restriction) > now_ms + CONTROL_EXPIRY_LIMIT_MS;
}

void
control_current(const struct scope_state *state, int64_t now_ms, struct scope_state *out)
{
    *out = *state;
    out->count = 0;
    for (size_t i = 0; i < state->count; i++)
        if (control_expiry(&state->restrictions[i], now_ms) > now_ms)
            out->restrictions[out->count++] = state->restrictions[i];
}

/* Memory may be short at every member; the builder remembers it, and finish() looks once. */
struct builder {
    bool failed;
    int64_t now_ms;
};

/* Takes over value. */
static void
put(struct builder *builder, json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0)
        builder->failed = true;
}

static void
put_text(struct builder *builder, json_t *object, const char *name, struct text text)
{
    if (text.at != NULL)
        put(builder, object, name, json_stringn(text.at, text.size));
}

static void
put_string(struct builder *builder, json_t *object, const char *name, const char *string)
{
    put(builder, object, name, json_string(string));
}

static void
put_integer(struct builder *builder, json_t *object, const char *name, int64_t value)
{
    put(builder, object, name, json_integer(value));
}

static void
put_instant(struct builder *builder, json_t *object, const char *name, int64_t at_ms)
{
    char text[CLOCK_TEXT_SIZE];

    put_string(builder, object, name, clock_format(at_ms, text));
}

/* Money as exact decimal text, a count as integer: JSON readers make doubles of fractions. */
static void
put_amount(struct builder *builder, json_t *object, const char *name, tally amount, bool is_money)
{
    char text[TALLY_TEXT_SIZE];

    if (is_money)
        put_string(builder, object, name, tally_format_short(amount, 2, text));
    else
        put_integer(builder, object, name, amount > INT64_MAX ? INT64_MAX : (int64_t)amount);
}

static bool
has_end(const struct restriction *restriction)
{
    return restriction->ends_ms != INT64_MAX;
}

/* Whole seconds up to the end, rounded up: never too early. */
static int64_t
seconds_left(const struct restriction *restriction, int64_t now_ms)
{
    const int64_t left_ms = restriction->ends_ms - now_ms;

    return left_ms <= 0 ? 0 : (left_ms + CLOCK_SECOND_MS - 1) / CLOCK_SECOND_MS;
}

/* IMF-fixdate of RFC 9110, 5.6.7: stays right however long the record lies on the topic, which
 * seconds would not. Rounded up to the second. */
static const char *
http_date(int64_t at_ms, char out[CLOCK_TEXT_SIZE])
{
    static const char *const weekdays[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const int64_t whole_ms = at_ms + CLOCK_SECOND_MS - 1;
    const int64_t day = clock_day_of(whole_ms);
    const struct civil date = clock_civil(day);
    const int second = (int)((whole_ms - day * CLOCK_DAY_MS) / CLOCK_SECOND_MS);

    (void)snprintf(out, CLOCK_TEXT_SIZE, "%s, %02" PRId32 " %s %04" PRId32 " %02d:%02d:%02d GMT",
                   weekdays[clock_weekday(day)], date.day, months[date.month - 1], date.year,
                   second / 3600, second / 60 % 60, second % 60);
    return out;
}

static json_t *
http_headers(struct builder *builder, const struct restriction *restriction)
{
    const struct code_row *code = &code_table[restriction->code];
    json_t *headers = json_object();
    char text[TALLY_TEXT_SIZE];

    put_string(builder, headers, "Content-Type", "application/json");
    if (code->retryable && has_end(restriction))
        put_string(builder, headers, "Retry-After", http_date(restriction->ends_ms, text));
    if (restriction_outcome(restriction) != OUTCOME_THROTTLE || !restriction->has_usage ||
        restriction->is_money)
        return headers;
    put_string(builder, headers, "X-RateLimit-Limit", tally_format_count(restriction->limit, text));
    put_string(builder, headers, "X-RateLimit-Remaining", "0");
    if (has_end(restriction)) {
        const int64_t end_s = (restriction->ends_ms + CLOCK_SECOND_MS - 1) / CLOCK_SECOND_MS;

        put_string(builder, headers, "X-RateLimit-Reset", tally_format_count(end_s, text));
    }
    return headers;
}

static void
put_usage(struct builder *builder, json_t *object, const struct restriction *restriction)
{
    const bool breaker = restriction->code == CODE_feature_suspended;

    if (restriction->has_usage) {
        put_amount(builder, object, breaker ? "observed" : "used", restriction->used,
                   restriction->is_money);
        put_amount(builder, object, breaker ? "baseline" : "limit", restriction->limit,
                   restriction->is_money);
        if (restriction->is_money)
            put_text(builder, object, "currency", restriction->currency);
    }
    if (restriction->resets_ms != 0)
        put_instant(builder, object, "resets_at", restriction->resets_ms);
}

/* One sentence or two for the person who called the gateway. */
static void
sentence(const struct restriction *restriction, char out[SENTENCE_SIZE])
{
    char used[TALLY_TEXT_SIZE];
    char limit[TALLY_TEXT_SIZE];
    char reset[CLOCK_TEXT_SIZE];
    size_t size = text_copy(out, SENTENCE_SIZE, text_of(words[restriction->code].sentence));

    if (restriction->has_usage)
        size += (size_t)snprintf(
            out + size, SENTENCE_SIZE - size,
            restriction->code == CODE_feature_suspended
                ? " Spent in an hour: %s, usual are %s%s%.*s."
                : " Used: %s of %s%s%.*s.",
            restriction->is_money ? tally_format_short(restriction->used, 2, used)
                                  : tally_format_count(restriction->used, used),
            restriction->is_money ? tally_format_short(restriction->limit, 2, limit)
                                  : tally_format_count(restriction->limit, limit),
            restriction->is_money ? " " : "",
            restriction->is_money ? (int)restriction->currency.size : 0,
            restriction->currency.at == NULL ? "" : restriction->currency.at);
    if (restriction->resets_ms != 0)
        (void)snprintf(out + size, SENTENCE_SIZE - size, " It resets at %s.",
                       clock_format(restriction->resets_ms, reset));
}

/* The key, address, feature, ... that the scope is of, under the name that events have for it. */
static void
put_subject(struct builder *builder, json_t *object, struct text scope)
{
    static const struct {
        struct text kind;
        const char *member;
    } kinds[] = {{TEXT_ROW("key/"), "api_key_id"},
                 {TEXT_ROW("ip/"), "client_ip"},
                 {TEXT_ROW("feature/"), "feature"},
                 {TEXT_ROW("project/"), "project"},
                 {TEXT_ROW("model/"), "model"}};
    char name[SCOPE_SIZE];
    size_t slash = scope.size;
    size_t size = 0;

    while (slash > 0 && scope.at[slash - 1] != '/')
        slash--;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (scope.size > kinds[i].kind.size &&
            memcmp(scope.at, kinds[i].kind.at, kinds[i].kind.size) == 0 &&
            text_percent_decode(name, sizeof name,
                                (struct text){scope.at + slash, scope.size - slash}, &size))
            put_text(builder, object, kinds[i].member, (struct text){name, size});
}

/* OpenAI's shape of an error, so that existing clients show it as they show theirs. */
static json_t *
http_body(struct builder *builder, const struct scope_state *state,
          const struct restriction *restriction)
{
    const struct code_row *code = &code_table[restriction->code];
    json_t *error = json_object();
    json_t *body = json_object();
    char message[SENTENCE_SIZE];

    sentence(restriction, message);
    put_string(builder, error, "message", message);
    put_string(builder, error, "type", words[restriction->code].type);
    put(builder, error, "param", json_null());
    put_string(builder, error, "code", code->name);
    put_text(builder, error, "scope", state->scope);
    put_text(builder, error, "tenant", state->tenant);
    put_subject(builder, error, state->scope);
    put(builder, error, "retryable", json_boolean(code->retryable));
    put_string(builder, error, "action", code->action);
    put_usage(builder, error, restriction);
    if (code->retryable && has_end(restriction))
        put_instant(builder, error, "retry_at", restriction->ends_ms);
    put(builder, body, "error", error);
    return body;
}

static json_t *
http_answer(struct builder *builder, const struct scope_state *state,
            const struct restriction *restriction)
{
    json_t *http = json_object();

    put_integer(builder, http, "status", code_table[restriction->code].http_status);
    put(builder, http, "headers", http_headers(builder, restriction));
    put(builder, http, "body", http_body(builder, state, restriction));
    return http;
}

static bool
denies(const struct restriction *restriction)
{
    const enum outcome outcome = restriction_outcome(restriction);

    return outcome == OUTCOME_BLOCK || outcome == OUTCOME_THROTTLE;
}

static json_t *
one_restriction(struct builder *builder, const struct scope_state *state,
                const struct restriction *restriction)
{
    const struct code_row *code = &code_table[restriction->code];
    json_t *object = json_object();

    put_integer(builder, object, "rank", restriction->rank);
    put_string(builder, object, "code", code->name);
    put_string(builder, object, "outcome", outcome_names[restriction_outcome(restriction)]);
    put(builder, object, "retryable", json_boolean(code->retryable));
    put_string(builder, object, "action", code->action);
    put_text(builder, object, "rule", restriction->rule);
    put_integer(builder, object, "policy_version", restriction->policy);
    put_instant(builder, object, "since", restriction->since_ms);
    put_usage(builder, object, restriction);
    if (code->retryable && has_end(restriction))
        put_integer(builder, object, "retry_after", seconds_left(restriction, builder->now_ms));
    put_text(builder, object, "reason", restriction->reason);
    put_text(builder, object, "actor", restriction->actor);
    put_instant(builder, object, "expires_at", control_expiry(restriction, builder->now_ms));
    if (denies(restriction))
        put(builder, object, "http", http_answer(builder, state, restriction));
    return object;
}

static json_t *
scope_data(struct builder *builder, const struct scope_state *state, int64_t seq)
{
    const struct restriction *answer = scope_answer(state);
    json_t *data = json_object();
    json_t *list = json_array();
    int64_t expires_ms = 0;
    int64_t policy = 0;

    for (size_t i = 0; i < state->count; i++) {
        const int64_t expiry_ms = control_expiry(&state->restrictions[i], builder->now_ms);

        if (json_array_append_new(list, one_restriction(builder, state, &state->restrictions[i])))
            builder->failed = true;
        expires_ms = expiry_ms > expires_ms ? expiry_ms : expires_ms;
        policy = state->restrictions[i].policy > policy ? state->restrictions[i].policy : policy;
    }
    put_text(builder, data, "scope", state->scope);
    put_text(builder, data, "tenant", state->tenant);
    put_integer(builder, data, "shard", state->shard);
    put_integer(builder, data, "seq", seq);
    put_string(builder, data, "outcome", outcome_names[scope_outcome(state)]);
    put_instant(builder, data, "changed_at", state->at_ms);
    put_text(builder, data, "trigger", state->trigger);
    if (state->count > 0) {
        put_instant(builder, data, "expires_at", expires_ms);
        put_integer(builder, data, "policy_version", policy);
    }
    put(builder, data, "restrictions", list);
    if (answer != NULL && denies(answer))
        put(builder, data, "http", http_answer(builder, state, answer));
    return data;
}

/* The envelope around data, as text. */
static char *
finish(struct builder *builder, struct text scope, const char *type, json_t *data,
       const struct control_stamp *stamp, size_t *size)
{
    json_t *event = json_object();
    char id[SCOPE_SIZE + 24];
    char *text = NULL;

    (void)snprintf(id, sizeof id, "%.*s:%" PRId64, (int)scope.size, scope.at, stamp->seq);
    put_string(builder, event, "specversion", "1.0");
    put_string(builder, event, "id", id);
    put_string(builder, event, "source", stamp->source);
    put_string(builder, event, "type", type);
    put_text(builder, event, "subject", scope);
    put_instant(builder, event, "time", stamp->now_ms);
    put_string(builder, event, "datacontenttype", "application/json");
    put(builder, event, "data", data);
    if (!builder->failed)
        text = json_dumps(event, JSON_COMPACT);
    json_decref(event);
    *size = text == NULL ? 0 : strlen(text);
    return text;
}

char *
control_scope_message(const struct scope_state *state, const struct control_stamp *stamp,
                      size_t *size)
{
    struct builder builder = {.now_ms = stamp->now_ms};
    json_t *data = scope_data(&builder, state, stamp->seq);

    return finish(&builder, state->scope, CONTROL_TYPE_SCOPE, data, stamp, size);
}

char *
control_beat_message(const struct control_beat *beat, const struct control_stamp *stamp,
                     size_t *size)
{
    struct builder builder = {.now_ms = stamp->now_ms};
    json_t *data = json_object();
    char scope[32];

    (void)snprintf(scope, sizeof scope, "engine/%" PRId32, beat->shard);
    put_string(&builder, data, "scope", scope);
    put_integer(&builder, data, "shard", beat->shard);
    put_integer(&builder, data, "seq", stamp->seq);
    if (beat->as_of_ms != 0)
        put_instant(&builder, data, "as_of", beat->as_of_ms);
    put_integer(&builder, data, "lag_records", beat->lag_records);
    return finish(&builder, text_of(scope), CONTROL_TYPE_ENGINE, data, stamp, size);
}

static bool
get_text(const json_t *object, const char *name, struct text *out)
{
    const json_t *value = json_object_get(object, name);

    *out = (struct text){json_string_value(value), json_string_length(value)};
    return value == NULL || json_is_string(value);
}

static bool
get_integer(const json_t *object, const char *name, int64_t high, int64_t *out)
{
    const json_t *value = json_object_get(object, name);

    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= 0 && *out <= high;
}

static bool
take_record(const json_t *event, struct control_record *out)
{
    const json_t *data = json_object_get(event, "data");
    struct text type;
    struct text time;
    struct text outcome;
    int64_t shard;

    if (!get_text(event, "type", &type) || !get_text(event, "time", &time) ||
        !get_text(data, "outcome", &outcome) || !get_integer(data, "seq", INT64_MAX, &out->seq) ||
        !get_integer(data, "shard", INT32_MAX, &shard) || !clock_parse(time, &out->time_ms))
        return false;
    if (!text_eq(type, TEXT(CONTROL_TYPE_SCOPE)) && !text_eq(type, TEXT(CONTROL_TYPE_ENGINE)))
        return false;
    out->shard = (int32_t)shard;
    out->restricts = outcome.at != NULL && !text_eq(outcome, text_of(outcome_names[OUTCOME_ALLOW]));
    return true;
}

bool
control_parse(struct text value, struct control_record *out)
{
    json_t *event;
    bool good;

    *out = (struct control_record){0};
    if (value.size > VALUE_SIZE_LIMIT)
        return false;
    event = json_loadb(value.at, value.size, JSON_REJECT_DUPLICATES, NULL);
    good = take_record(event, out);
    json_decref(event);
    return good;
}
