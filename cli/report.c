/* report increase: a quota increase, on one page that can be sent. */
#include "cli/columns.h"
#include "cli/increase.h"
#include "cli/moment.h"
#include "config/cycle_text.h"

#include <inttypes.h>

/* ---- for people --------------------------------------------------------------------------------- */

static const char *
day_text(const struct zone *zone, int64_t at_ms, char out[ZONE_TEXT_SIZE])
{
    (void)zone_format(zone, at_ms, out);
    out[10] = '\0'; /* the date */
    return out;
}

/* "12.50 USD", "950 requests" */
static const char *
quota_amount(const struct tenant *tenant, const struct standing *standing, tally amount,
             char out[AMOUNT_SIZE])
{
    char number[AMOUNT_SIZE];

    (void)amount_text(amount, standing->is_money, tenant->currency, number);
    if (standing->is_money)
        (void)snprintf(out, AMOUNT_SIZE, "%s", number);
    else
        (void)snprintf(out, AMOUNT_SIZE, "%.40s %s", number,
                       meter_names[standing->quota->rule->meter]);
    return out;
}

static void
print_history(const struct increase *pack, const struct standing *standing)
{
    static const char *const titles[] = {"  PERIOD FROM", ">USED", ">OF THE LIMIT", NULL};
    const struct tenant *tenant = pack->load.tenant;
    struct columns *columns = pack->period_count == 0 ? NULL : columns_new(titles);
    char day[ZONE_TEXT_SIZE];
    char cell[AMOUNT_SIZE];

    for (size_t i = 0; columns != NULL && i < pack->period_count; i++) {
        const tally used = meter_read(&pack->periods[i].used, standing->quota->rule->meter);
        char indented[ZONE_TEXT_SIZE + 2];

        (void)snprintf(indented, sizeof indented, "  %s",
                       day_text(tenant->zone, pack->periods[i].start_ms, day));
        columns_add(columns, indented);
        columns_add(columns, amount_text(used, standing->is_money, tenant->currency, cell));
        (void)snprintf(cell, sizeof cell, "%" PRId32 " %%", quota_percent(used, standing->limit));
        columns_add(columns, cell);
    }
    if (columns != NULL)
        columns_print(columns, stdout);
    columns_free(columns);
}

static void
print_reached(const struct increase *pack, const struct increase_quota *quota)
{
    const struct tenant *tenant = pack->load.tenant;
    const int64_t left_ms = quota->reached_ms - pack->load.now_ms;
    char text[AMOUNT_SIZE];
    char at[MOMENT_SIZE];

    if (quota->standing.used >= quota->standing.limit)
        puts("  The limit is reached.");
    else if (quota->reached_ms == INT64_MAX)
        puts("  As it is used now, it lasts to the end of the period.");
    else
        printf("  As it is used now, it is used up in %" PRId64 ".%" PRId64 " days: %s.\n",
               left_ms / CLOCK_DAY_MS, left_ms % CLOCK_DAY_MS * 10 / CLOCK_DAY_MS,
               moment_text(tenant->zone, quota->reached_ms, at));
    if (quota->standing.has_forecast)
        printf("  By the end of the period that is %s.\n",
               quota_amount(tenant, &quota->standing, quota->standing.forecast, text));
}

static void
print_suggestion(const struct increase *pack, const struct increase_quota *quota)
{
    const struct tenant *tenant = pack->load.tenant;
    const struct standing *standing = &quota->standing;
    char average[AMOUNT_SIZE];
    char need[AMOUNT_SIZE];
    char limit[AMOUNT_SIZE];

    if (!quota->has_need) {
        puts("  Too early to say what it needs: no period is over, nor a tenth of this one.");
        return;
    }
    (void)quota_amount(tenant, standing, quota->need, need);
    if (quota->by_forecast)
        printf("  No period is over yet. One and a half times the forecast: %s.\n", need);
    else
        printf("  Average of %" PRId64 " period%s %s, growth %" PRId64
               " %%. Need, with half as much in reserve: %s.\n",
               quota->periods, quota->periods == 1 ? "" : "s",
               quota_amount(tenant, standing, quota->average, average), quota->growth_pct, need);
    if (quota->suffices) {
        puts("  Suggestion: the limit suffices.");
        return;
    }
    printf("  Suggestion: %s.\n", quota_amount(tenant, standing, quota->suggestion, limit));
}

static void
print_quota(const struct increase *pack, const struct increase_quota *quota)
{
    const struct tenant *tenant = pack->load.tenant;
    const struct standing *standing = &quota->standing;
    char used[AMOUNT_SIZE];
    char limit[AMOUNT_SIZE];
    char day[ZONE_TEXT_SIZE];

    printf("\n%s: %s of %s (%" PRId32 " %%), resets %s\n", standing->quota->rule->name.at,
           amount_text(standing->used, standing->is_money, tenant->currency, used),
           quota_amount(tenant, standing, standing->limit, limit), standing->percent,
           day_text(tenant->zone, standing->resets_ms, day));
    print_reached(pack, quota);
    print_history(pack, standing);
    print_suggestion(pack, quota);
}

static void
print_blocked(const struct increase *pack)
{
    const struct tenant *tenant = pack->load.tenant;
    char day[ZONE_TEXT_SIZE];
    char lasted[CLOCK_TEXT_SIZE];
    char amount[AMOUNT_SIZE];

    printf("\nRefused since %s: ", day_text(tenant->zone, pack->since_ms, day));
    if (pack->blocked_seconds == 0 && pack->blocked_calls == 0) {
        puts("nothing.");
        return;
    }
    printf("blocked for %s.\n",
           clock_format_duration(pack->blocked_seconds * CLOCK_SECOND_MS, lasted));
    if (pack->has_calls)
        printf("  Gateways report %" PRId64 " refused calls", pack->blocked_calls);
    else
        printf("  Gateways do not report what they refuse");
    if (pack->has_cost)
        printf(", worth %s", amount_text(pack->blocked_cost, true, tenant->currency, amount));
    printf(". At the rate before the blocks: %s.\n",
           amount_text(pack->blocked_estimate, true, tenant->currency, amount));
}

static void
print_top(const struct increase *pack, const char *title, const struct increase_share *top,
          size_t count)
{
    const char *const titles[] = {title, ">COST", ">REQUESTS", NULL};
    struct columns *columns = count == 0 ? NULL : columns_new(titles);
    char cell[AMOUNT_SIZE];

    for (size_t i = 0; columns != NULL && i < count; i++) {
        columns_add(columns, top[i].name[0] == '\0' ? "(not named)" : top[i].name);
        columns_add(columns, amount_text(top[i].cost, true, pack->load.tenant->currency, cell));
        (void)snprintf(cell, sizeof cell, "%" PRId64, top[i].requests);
        columns_add(columns, cell);
    }
    if (columns != NULL) {
        puts("");
        columns_print(columns, stdout);
    }
    columns_free(columns);
}

static enum answer
print_pack(const struct increase *pack, const char *use_case)
{
    const struct tenant *tenant = pack->load.tenant;
    char at[MOMENT_SIZE];
    char cycle[CYCLE_TEXT_SIZE];

    printf("Quota increase for %s\n", tenant->name.at);
    printf("plan %s, %s, %s, %.*s; as of %s\n", tenant->plan->name.at,
           cycle_text(&tenant->cycle, cycle), zone_name(tenant->zone), (int)tenant->currency.size,
           tenant->currency.at, moment_text(tenant->zone, pack->load.now_ms, at));
    if (use_case != NULL)
        printf("for: %s\n", use_case);
    if (pack->quota_count == 0)
        puts("\nno quota of its billing period is limited: there is nothing to increase");
    for (size_t i = 0; i < pack->quota_count; i++)
        print_quota(pack, &pack->quotas[i]);
    print_blocked(pack);
    print_top(pack, "FEATURE (this period and the last)", pack->features, pack->feature_count);
    print_top(pack, "MODEL", pack->models, pack->model_count);
    return ANSWER_FINE;
}

/* ---- for programs -------------------------------------------------------------------------------- */

static json_t *
json_quota(const struct increase *pack, const struct increase_quota *quota)
{
    const struct standing *standing = &quota->standing;
    const bool money = standing->is_money;
    const bool has = quota->has_need;
    const bool average = has && !quota->by_forecast;
    json_t *history = json_array();

    for (size_t i = 0; i < pack->period_count; i++)
        (void)json_array_append_new(
            history,
            json_pack("{s:o, s:o}", "period", moment_json(pack->periods[i].start_ms), "used",
                      amount_json(meter_read(&pack->periods[i].used, standing->quota->rule->meter),
                                  money)));
    json_t *out = json_pack(
        "{s:s, s:s, s:o, s:o, s:i, s:o, s:o, s:o, s:o}", "quota", standing->quota->rule->name.at,
        "meter", meter_names[standing->quota->rule->meter], "used",
        amount_json(standing->used, money), "limit", amount_json(standing->limit, money), "percent",
        (int)standing->percent, "resets_at", moment_json(standing->resets_ms), "forecast",
        standing->has_forecast ? amount_json(standing->forecast, money) : json_null(), "reached_at",
        quota->reached_ms == INT64_MAX ? json_null() : moment_json(quota->reached_ms), "history",
        history);
    json_t *more =
        json_pack("{s:o, s:o, s:o, s:o, s:b}", "average",
                  average ? amount_json(quota->average, money) : json_null(), "growth_percent",
                  average ? json_integer(quota->growth_pct) : json_null(), "need",
                  has ? amount_json(quota->need, money) : json_null(), "suggestion",
                  has && !quota->suffices ? amount_json(quota->suggestion, money) : json_null(),
                  "by_forecast", quota->by_forecast);

    (void)json_object_update(out, more);
    json_decref(more);
    return out;
}

static json_t *
json_top(const struct increase_share *top, size_t count)
{
    json_t *out = json_array();

    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(out, json_pack("{s:s, s:o, s:I}", "name", top[i].name, "cost",
                                                   amount_json(top[i].cost, true), "requests",
                                                   (json_int_t)top[i].requests));
    return out;
}

static json_t *
json_pack_of(const struct increase *pack, const char *use_case)
{
    const struct tenant *tenant = pack->load.tenant;
    json_t *quotas = json_array();

    for (size_t i = 0; i < pack->quota_count; i++)
        (void)json_array_append_new(quotas, json_quota(pack, &pack->quotas[i]));
    return json_pack(
        "{s:s, s:s, s:s, s:s%, s:o, s:s?, s:o, s:{s:o, s:o, s:o, s:o, s:I}, s:o, s:o}", "tenant",
        tenant->name.at, "plan", tenant->plan->name.at, "zone", zone_name(tenant->zone), "currency",
        tenant->currency.at, tenant->currency.size, "as_of", moment_json(pack->load.now_ms),
        "use_case", use_case, "quotas", quotas, "refused", "since", moment_json(pack->since_ms),
        "calls", pack->has_calls ? json_integer(pack->blocked_calls) : json_null(), "cost",
        pack->has_cost ? amount_json(pack->blocked_cost, true) : json_null(), "estimate",
        amount_json(pack->blocked_estimate, true), "seconds", (json_int_t)pack->blocked_seconds,
        "features", json_top(pack->features, pack->feature_count), "models",
        json_top(pack->models, pack->model_count));
}

/* ---- the command --------------------------------------------------------------------------------- */

static enum answer
run_increase(const struct arguments *arguments)
{
    const char *use_case = option_value(arguments, "use-case");
    struct err why = {.class = ERR_NONE};
    struct session session;
    struct increase pack;
    enum answer answer;

    if (!session_open(&session, arguments, &answer))
        return answer;
    answer = ANSWER_NO;
    if (increase_load(&session, arguments->words[0], &pack, &why)) {
        if (!pack.load.seen)
            command_complain("tenant \"%s\" has no contract and has sent nothing",
                             arguments->words[0]);
        else if (option_given(arguments, "json"))
            answer = command_print_json(json_pack_of(&pack, use_case));
        else
            answer = print_pack(&pack, use_case);
    }
    increase_free(&pack);
    return session_close(&session, answer, &why);
}

static const struct option_row increase_options[] = {
    OPTION_CONFIG,
    OPTION_JSON,
    {"use-case", "TEXT", "what the customer wants it for; stands in the report", false},
    {NULL, NULL, NULL, false}};

const struct command_row command_report_increase = {
    .name = "report increase",
    .words = "TENANT",
    .least = 1,
    .most = 1,
    .what = "What a tenant that asks for a larger quota has used, and would need",
    .more =
        "For each limited quota of its billing period: how it stands, when it will be used up, "
        "the\n"
        "last six periods, and a suggestion: average x (1 + growth) x 1.5 (view "
        "v_quota_increase),\n"
        "rounded up. Then what was refused, and what the money went to. As settled in Postgres.\n",
    .options = increase_options,
    .run = run_increase};
