#include "cli/columns.h"
#include "cli/moment.h"
#include "cli/standing.h"
#include "cli/status.h"
#include "config/cycle_text.h"
#include "rules/throttle.h"

#include <inttypes.h>

/* What gateways are told of the tenant's scopes now. */
static const char sql_restrictions[] =
    "SELECT * FROM (SELECT DISTINCT ON (d.scope) d.scope, d.outcome, coalesce(d.code, ''),"
    "  " DB_MS("d.at") ", d.restrictions, " DB_MS(DB_UNTIL(
        "d.restrictions")) ""
                           "  FROM tripmeter.decision d WHERE d.tenant = $1 ORDER BY d.scope, d.at "
                           "DESC, d.id DESC) l"
                           " WHERE l.outcome <> 'allow' ORDER BY l.scope";

static const char sql_throttles[] = "SELECT t.scope, t.subject, t.used, t.most, " DB_MS(
    "t.until_at") ", t.times,"
                  " CASE WHEN t.shadow THEN 'shadow' ELSE 'enforce' END FROM tripmeter.throttle t"
                  " WHERE t.tenant = $1 AND NOT t.is_over ORDER BY t.until_at DESC, t.scope, "
                  "t.subject LIMIT 100";

/* ---- for people --------------------------------------------------------------------------------- */

static void
print_head(const struct standing_load *load)
{
    const struct tenant *tenant = load->tenant;
    char cycle[CYCLE_TEXT_SIZE];
    char at[MOMENT_SIZE];

    printf("tenant  %s: ", tenant->name.at);
    if (tenant->known)
        printf("plan %s, version %" PRId64, tenant->plan->name.at, tenant->version);
    else
        printf("no contract, plan %s", tenant->plan->name.at);
    printf(", %s, %.*s\n", zone_name(tenant->zone), (int)tenant->currency.size,
           tenant->currency.at);
    printf("period  %s to ", moment_text(tenant->zone, tenant->periods[0].period.start_ms, at));
    printf("%s (%s)\n", moment_text(tenant->zone, tenant->periods[0].period.end_ms, at),
           cycle_text(&tenant->cycle, cycle));
    printf("as of   %s", moment_text(tenant->zone, load->now_ms, at));
    if (load->settled)
        printf(", shard %" PRId32 "\n\n", load->shard);
    else
        puts(", nothing settled yet\n");
}

static void
add_amount(struct columns *columns, tally amount, const struct standing *one, struct text currency)
{
    char text[AMOUNT_SIZE];

    columns_add(columns, amount_text(amount, one->is_money, currency, text));
}

static void
add_standing(struct columns *columns, const struct standing_load *load, size_t index)
{
    const struct tenant *tenant = load->tenant;
    struct standing one;
    char percent[16];
    char at[MOMENT_SIZE];
    char level[48];

    standing_of(tenant, index, load->now_ms, &one);
    const struct quota *rule = one.quota->rule;

    columns_add(columns, rule->name.at);
    columns_add(columns, one.project.at != NULL ? one.project.at : one.subject.at);
    add_amount(columns, one.used, &one, tenant->currency);
    if (one.quota->unlimited) {
        columns_add(columns, "unlimited");
        for (int i = 0; i < 3; i++)
            columns_add(columns, "");
    } else {
        add_amount(columns, one.limit, &one, tenant->currency);
        add_amount(columns, one.remaining, &one, tenant->currency);
        add_amount(columns, one.over, &one, tenant->currency);
        (void)snprintf(percent, sizeof percent, "%" PRId32 " %%", one.percent);
        columns_add(columns, percent);
    }
    (void)snprintf(level, sizeof level, "%s%s", one.level, one.approaching ? ", approaching" : "");
    columns_add(columns, level);
    columns_add(columns, rule->mode == MODE_SHADOW            ? "shadow"
                         : rule->on_exceed == ON_EXCEED_BLOCK ? "block"
                                                              : "alert");
    columns_add(columns,
                one.resets_ms == INT64_MAX ? "" : moment_text(tenant->zone, one.resets_ms, at));
}

/* What is left of the tenant's limit when its projects have theirs. */
static void
print_unallocated(const struct tenant *tenant)
{
    for (size_t i = 0; i < tenant->quota_count; i++) {
        struct standing one;
        char left[AMOUNT_SIZE];
        char limit[AMOUNT_SIZE];

        standing_of(tenant, i, 0, &one);
        if (one.has_budgets && one.unallocated < 0)
            printf("%s: projects have %s more than %s\n", one.quota->rule->name.at,
                   amount_text(-one.unallocated, one.is_money, tenant->currency, left),
                   amount_text(one.limit, one.is_money, tenant->currency, limit));
        else if (one.has_budgets)
            printf("%s: %s of %s not given to projects\n", one.quota->rule->name.at,
                   amount_text(one.unallocated, one.is_money, tenant->currency, left),
                   amount_text(one.limit, one.is_money, tenant->currency, limit));
    }
}

/* How fast those are used up whose pace is watched. */
static void
print_pace(const struct standing_load *load)
{
    const struct tenant *tenant = load->tenant;

    for (size_t i = 0; i < tenant->quota_count; i++) {
        struct standing one;
        char amount[AMOUNT_SIZE];
        char left[AMOUNT_SIZE];

        standing_of(tenant, i, load->now_ms, &one);
        const struct quota *rule = one.quota->rule;

        if (!one.has_pace || (!rule->pacing && !rule->forecast))
            continue;
        printf("%s%s%.*s: ", rule->name.at, one.project.at == NULL ? "" : " of ",
               (int)one.project.size, one.project.at == NULL ? "" : one.project.at);
        if (rule->pacing)
            printf("%s used today, of %s for %" PRId64 " days%s",
                   amount_text(one.today, one.is_money, tenant->currency, amount),
                   amount_text(one.day_left, one.is_money, tenant->currency, left), one.days,
                   rule->forecast && one.has_forecast ? "; " : "\n");
        if (rule->forecast && one.has_forecast)
            printf("on course for %s\n",
                   amount_text(one.forecast, one.is_money, tenant->currency, amount));
        else if (!rule->pacing)
            puts("no forecast before a tenth of the period is over");
    }
}

/* What limits are made of where something was carried in. */
static void
print_carries(const struct tenant *tenant)
{
    for (size_t i = 0; i < tenant->quota_count; i++) {
        const struct quota_state *quota = &tenant->quotas[i];
        const bool is_money = meter_is_money(quota->rule->meter);
        char limit[AMOUNT_SIZE];
        char base[AMOUNT_SIZE];
        char carry[AMOUNT_SIZE];

        if (quota->unlimited || quota->carry == 0)
            continue;
        printf("%s%s%.*s: limit %s is %s, and %s %s\n", quota->rule->name.at,
               quota->project < 0 ? "" : " of ",
               quota->project < 0 ? 0 : (int)tenant->spec.projects[quota->project].name.size,
               quota->project < 0 ? "" : tenant->spec.projects[quota->project].name.at,
               amount_text(quota->limit, is_money, tenant->currency, limit),
               amount_text(quota->base, is_money, tenant->currency, base),
               amount_text(quota->carry < 0 ? -quota->carry : quota->carry, is_money,
                           tenant->currency, carry),
               quota->carry > 0 ? "carried over" : "deducted for what was used beyond it before");
    }
}

/* Limits of money see more than what is booked. */
static void
print_estimate(const struct tenant *tenant)
{
    const struct amounts *sum = &tenant->periods[0].totals[0].sum;
    char amount[TALLY_TEXT_SIZE];

    if (sum->estimate != 0)
        printf("%" PRId64 " events have no price: limits of money take them for %s %.*s\n",
               sum->count[COUNT_unpriced], tally_format_short(sum->estimate, 2, amount),
               (int)tenant->currency.size, tenant->currency.at);
}

static void
print_standings(const struct standing_load *load)
{
    const struct tenant *tenant = load->tenant;
    const size_t count = standing_count(tenant);
    static const char *const titles[] = {"QUOTA",      "OF",     ">USED",    ">LIMIT",
                                         ">REMAINING", ">OVER",  ">PERCENT", "LEVEL",
                                         "ON EXCEED",  "RESETS", NULL};
    struct columns *columns = columns_new(titles);

    for (size_t i = 0; columns != NULL && i < count; i++)
        add_standing(columns, load, i);
    if (tenant->plan->quota_count == 0)
        puts(tenant->bursts == NULL ? "the plan has no quotas: nothing is limited"
                                    : "the plan has no quotas");
    else if (columns != NULL)
        columns_print(columns, stdout);
    columns_free(columns);
    print_estimate(tenant);
    print_unallocated(tenant);
    print_carries(tenant);
    print_pace(load);
}

static void
print_restrictions(const PGresult *rows, const struct zone *zone)
{
    static const char *const titles[] = {"SCOPE", "OUTCOME", "CODE", "SINCE", "UNTIL", NULL};
    struct columns *columns = columns_new(titles);

    puts("");
    for (int i = 0; columns != NULL && i < PQntuples(rows); i++) {
        char at[MOMENT_SIZE];

        columns_add(columns, db_text(rows, i, 0));
        columns_add(columns, db_text(rows, i, 1));
        columns_add(columns, db_text(rows, i, 2));
        columns_add(columns, moment_text(zone, db_int(rows, i, 3), at));
        columns_add(columns, db_text(rows, i, 5) == NULL
                                 ? "taken back"
                                 : moment_text(zone, db_int(rows, i, 5), at));
    }
    if (PQntuples(rows) == 0)
        puts("nothing of it is restricted");
    else if (columns != NULL)
        columns_print(columns, stdout);
    columns_free(columns);
}

/* "in any 60 seconds at most 60 requests of each key, 600 of the tenant, ..." */
static void
print_bursts(const struct tenant *tenant)
{
    static const char *const whose[BURST_SCOPE_COUNT] = {[BURST_KEY] = "each key",
                                                         [BURST_TENANT] = "the tenant",
                                                         [BURST_IP] = "each client address",
                                                         [BURST_FEATURE] = "each feature"};
    const char *between = "\nin any 60 seconds at most ";

    for (int s = 0; tenant->bursts != NULL && s < BURST_SCOPE_COUNT; s++) {
        const struct burst_bound *bound = &tenant->bursts->at[s];
        char limit[AMOUNT_SIZE];

        if (!bound->on)
            continue;
        printf("%s%s %s of %s%s", between,
               amount_text(bound->limit, false, tenant->currency, limit),
               bound->attempts ? "attempts" : "requests", whose[s],
               bound->shadow ? " (in shadow)" : "");
        between = ", ";
    }
    if (between[0] == ',')
        puts("");
}

/* Who sent too much in a minute not long ago, in shadow as well; nothing when nobody did. */
static void
print_throttles(const PGresult *rows, const struct zone *zone)
{
    static const char *const titles[] = {"BURST", "OF",     ">SENT", ">LIMIT",
                                         "UNTIL", ">TIMES", "MODE",  NULL};
    struct columns *columns = PQntuples(rows) == 0 ? NULL : columns_new(titles);

    if (columns == NULL)
        return;
    puts("");
    for (int i = 0; i < PQntuples(rows); i++) {
        char at[MOMENT_SIZE];

        for (int c = 0; c < 4; c++)
            columns_add(columns, db_text(rows, i, c));
        columns_add(columns, moment_text(zone, db_int(rows, i, 4), at));
        columns_add(columns, db_text(rows, i, 5));
        columns_add(columns, db_text(rows, i, 6));
    }
    columns_print(columns, stdout);
    columns_free(columns);
}

/* ---- for programs -------------------------------------------------------------------------------- */

/* null where it does not apply, or is not known. */
static void
add_pace(json_t *out, const struct standing *one)
{
    json_t *pace =
        !one->has_pace
            ? json_null()
            : json_pack("{s:o, s:o, s:I}", "today",
                        one->has_today ? amount_json(one->today, one->is_money) : json_null(),
                        "day_share", amount_json(one->day_share, one->is_money), "days_left",
                        (json_int_t)one->days);

    (void)json_object_set_new(out, "pace", pace);
    (void)json_object_set_new(out, "forecast",
                              one->has_pace && one->has_forecast
                                  ? amount_json(one->forecast, one->is_money)
                                  : json_null());
    (void)json_object_set_new(out, "unallocated",
                              one->has_budgets ? amount_json(one->unallocated, one->is_money)
                                               : json_null());
}

static json_t *
json_standing(const struct standing_load *load, size_t index)
{
    static const char *const scopes[] = {"tenant", "project", "feature", "model", "key"};
    static const char *const windows[] = {"billing", "day", "hour"};
    const struct tenant *tenant = load->tenant;
    struct standing one;

    standing_of(tenant, index, load->now_ms, &one);
    const struct quota *rule = one.quota->rule;
    const bool limited = !one.quota->unlimited;
    json_t *out = json_pack(
        "{s:s%, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "quota", rule->name.at, rule->name.size,
        "project",
        one.project.at == NULL ? json_null() : json_stringn(one.project.at, one.project.size),
        "meter", rule->gauge.size > 0 ? rule->gauge.at : meter_names[rule->meter], "currency",
        one.is_money ? json_stringn(tenant->currency.at, tenant->currency.size) : json_null(),
        "used", amount_json(one.used, one.is_money), "limit",
        limited ? amount_json(one.limit, one.is_money) : json_null(), "remaining",
        limited ? amount_json(one.remaining, one.is_money) : json_null(), "over",
        limited ? amount_json(one.over, one.is_money) : json_null());
    json_t *more = json_pack(
        "{s:s, s:o, s:s, s:o, s:s, s:b, s:b, s:s, s:s, s:o, s:o, s:o}", "scope",
        scopes[rule->scope], "subject",
        one.subject.at == NULL ? json_null() : json_stringn(one.subject.at, one.subject.size),
        "window", rule->gauge.size > 0 ? "gauge" : windows[rule->window], "percent",
        limited ? json_integer(one.percent) : json_null(), "level", one.level, "approaching",
        one.approaching, "blocked", one.quota->blocked, "on_exceed",
        rule->on_exceed == ON_EXCEED_BLOCK ? "block" : "alert", "mode",
        rule->mode == MODE_SHADOW ? "shadow" : "enforce", "resets_at",
        one.resets_ms == INT64_MAX ? json_null() : moment_json(one.resets_ms), "base",
        limited ? amount_json(one.quota->base, one.is_money) : json_null(), "carry",
        limited ? amount_json(one.quota->carry, one.is_money) : json_null());

    (void)json_object_update(out, more);
    json_decref(more);
    add_pace(out, &one);
    return out;
}

static json_t *
json_bursts(const struct tenant *tenant)
{
    json_t *object = json_object();

    for (int s = 0; tenant->bursts != NULL && s < BURST_SCOPE_COUNT; s++) {
        const struct burst_bound *bound = &tenant->bursts->at[s];

        if (bound->on)
            (void)json_object_set_new(object, burst_names[s],
                                      json_pack("{s:I, s:s, s:s}", "limit",
                                                (json_int_t)bound->limit, "count",
                                                bound->attempts ? "attempts" : "requests", "mode",
                                                bound->shadow ? "shadow" : "enforce"));
    }
    return object;
}

static json_t *
json_throttles(const PGresult *rows)
{
    json_t *list = json_array();

    for (int i = 0; i < PQntuples(rows); i++)
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:I, s:I, s:o, s:I, s:s}", "scope", db_text(rows, i, 0),
                            "subject", db_text(rows, i, 1), "sent", (json_int_t)db_int(rows, i, 2),
                            "limit", (json_int_t)db_int(rows, i, 3), "until",
                            moment_json(db_int(rows, i, 4)), "times",
                            (json_int_t)db_int(rows, i, 5), "mode", db_text(rows, i, 6)));
    return list;
}

static json_t *
json_status(const struct standing_load *load, const PGresult *rows, const PGresult *throttles)
{
    const struct tenant *tenant = load->tenant;
    json_t *quotas = json_array();
    json_t *restrictions = json_array();
    char cycle[CYCLE_TEXT_SIZE];

    for (size_t i = 0; i < standing_count(tenant); i++)
        (void)json_array_append_new(quotas, json_standing(load, i));
    for (int i = 0; i < PQntuples(rows); i++)
        (void)json_array_append_new(
            restrictions, json_pack("{s:s, s:s, s:s, s:o, s:o}", "scope", db_text(rows, i, 0),
                                    "outcome", db_text(rows, i, 1), "code", db_text(rows, i, 2),
                                    "since", moment_json(db_int(rows, i, 3)), "restrictions",
                                    json_loads(db_text(rows, i, 4), 0, NULL)));
    return json_pack(
        "{s:s%, s:b, s:I, s:s%, s:s, s:s, s:s%, s:o, s:b, s:{s:o, s:o}, s:o, s:o, s:o, s:o}",
        "tenant", tenant->name.at, tenant->name.size, "known", tenant->known, "version",
        (json_int_t)tenant->version, "plan", tenant->plan->name.at, tenant->plan->name.size, "zone",
        zone_name(tenant->zone), "cycle", cycle_text(&tenant->cycle, cycle), "currency",
        tenant->currency.at, tenant->currency.size, "as_of", moment_json(load->now_ms), "settled",
        load->settled, "period", "start", moment_json(tenant->periods[0].period.start_ms), "end",
        moment_json(tenant->periods[0].period.end_ms), "quotas", quotas, "restrictions",
        restrictions, "burst", json_bursts(tenant), "throttled", json_throttles(throttles));
}

/* ---- both ----------------------------------------------------------------------------------------- */

/* Says that nobody knows the tenant, and who may be meant. */
static enum answer
unknown(struct session *session, const char *name, struct err *why)
{
    enum { SUGGESTION_LIMIT = 10000 };
    const char *names[SUGGESTION_LIMIT];
    int count = 0;
    PGresult *rows = db_query(&session->db,
                              "SELECT tenant FROM tripmeter.tenant_shard"
                              " UNION SELECT tenant FROM tripmeter.tenant_version LIMIT 10000",
                              NULL, 0, why);

    if (rows == NULL)
        return ANSWER_NO;
    for (; count < PQntuples(rows) && count < SUGGESTION_LIMIT; count++)
        names[count] = db_text(rows, count, 0);
    const char *near = options_nearest(name, names, (size_t)count);

    if (near == NULL)
        command_complain("tenant \"%s\" has no contract and has sent nothing", name);
    else
        command_complain("tenant \"%s\" has no contract and has sent nothing: did you mean \"%s\"?",
                         name, near);
    PQclear(rows);
    return ANSWER_NO;
}

enum answer
status_tenant(struct session *session, const char *name, bool json, struct err *why)
{
    const char *const values[] = {name};
    struct standing_load load = {.tenant = NULL};
    enum answer answer = ANSWER_FINE;
    PGresult *rows = NULL;
    PGresult *throttles = NULL;

    if (!standing_load(session, name, &load, why))
        goto done;
    if (!load.seen) {
        answer = unknown(session, name, why);
        goto done;
    }
    rows = db_query(&session->db, sql_restrictions, values, 1, why);
    if (rows == NULL)
        goto done;
    throttles = db_query(&session->db, sql_throttles, values, 1, why);
    if (throttles == NULL)
        goto done;
    if (json)
        answer = command_print_json(json_status(&load, rows, throttles));
    else {
        print_head(&load);
        print_standings(&load);
        print_bursts(load.tenant);
        print_restrictions(rows, load.tenant->zone);
        print_throttles(throttles, load.tenant->zone);
    }
done:
    PQclear(throttles);
    PQclear(rows);
    tenant_free(load.tenant);
    return answer;
}
