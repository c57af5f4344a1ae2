/* breaker list|explain: what breakers see; trip|allow|reset|accept|shadow: what operators say to them. */
#include "cli/applied.h"
#include "cli/columns.h"
#include "cli/moment.h"
#include "cli/standing.h"
#include "rules/feature.h"
#include "rules/quota.h"

#include <inttypes.h>

/* ---- list ------------------------------------------------------------------------------------------ */

static const struct option_row list_options[] = {
    OPTION_CONFIG,
    {"all", NULL, "also those that only watch or still learn", false},
    {NULL, NULL, NULL, false}};

static void
print_list(const PGresult *rows)
{
    static const char *const titles[] = {"TENANT", "FEATURE",     ">LAST HOUR", ">USUAL", "STATE",
                                         "UNTIL",  ">TRIPPED AT", "SAID BY",    NULL};
    struct columns *columns = columns_new(titles);

    for (int r = 0; columns != NULL && r < PQntuples(rows); r++) {
        char at[MOMENT_SIZE];

        for (int c = 0; c < 5; c++)
            columns_add(columns, db_text(rows, r, c));
        columns_add(columns,
                    db_text(rows, r, 5) == NULL ? "" : moment_text(NULL, db_int(rows, r, 5), at));
        columns_add(columns, db_text(rows, r, 6));
        columns_add(columns, db_text(rows, r, 7));
    }
    if (columns != NULL)
        columns_print(columns, stdout);
    columns_free(columns);
}

static enum answer
run_list(const struct arguments *arguments)
{
    const char *const values[] = {option_given(arguments, "all") ? "true" : "false"};
    struct err why = {.class = ERR_NONE};
    struct session session;
    enum answer answer;

    if (!session_open(&session, arguments, &answer))
        return answer;
    PGresult *rows = db_query(
        &session.db,
        "SELECT tenant, feature, round(last_hour, 2), round(usual, 2), state, " DB_MS(
            "until_at") ", CASE WHEN observed > 0 THEN round(observed, 2) END,"
                        " actor || ': ' || reason FROM tripmeter.v_breaker"
                        " WHERE $1::boolean OR alarm > 0"
                        " OR state NOT IN ('learning', 'shadow', 'closed')"
                        " ORDER BY state IN ('learning', 'shadow', 'closed'), alarm DESC, tenant,"
                        " feature LIMIT 10000",
        values, 1, &why);

    if (rows != NULL && PQntuples(rows) == 0)
        puts(option_given(arguments, "all") ? "no feature has a breaker"
                                            : "no breaker is open or warns; all of them: --all");
    else if (rows != NULL)
        print_list(rows);
    PQclear(rows);
    return session_close(&session, ANSWER_FINE, &why);
}

const struct command_row command_breaker_list = {
    .name = "breaker list",
    .what = "Show what runs away, what is cut and until when",
    .more = "Open breakers first. Amounts are units of the tenant's currency.\n",
    .options = list_options,
    .run = run_list};

/* ---- explain --------------------------------------------------------------------------------------- */

static const struct option_row explain_options[] = {OPTION_CONFIG, {NULL, NULL, NULL, false}};

static const char *
money(tally amount, char out[TALLY_TEXT_SIZE])
{
    return tally_format_short(amount, 2, out);
}

static void
print_flags(unsigned flags)
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {{HOUR_TRIPPED, "tripped"},
                 {HOUR_PARTIAL, "not whole"},
                 {HOUR_REPLAYED, "came late"},
                 {HOUR_CORRECTED, "corrected"},
                 {HOUR_ACCEPTED, "accepted"}};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if ((flags & names[i].flag) != 0)
            printf("  %s", names[i].name);
}

static void
print_set(const struct tenant *tenant, const struct feature *feature, enum baseline_set set)
{
    struct baseline_sample samples[BASELINE_SAMPLES];
    const size_t count = baseline_samples(&feature->history, tenant->zone, feature->hour.start_ms,
                                          set, samples, BASELINE_SAMPLES);
    char amount[TALLY_TEXT_SIZE];
    char at[ZONE_TEXT_SIZE];

    printf("\n%s: ", baseline_set_names[set]);
    if (feature->baseline.sets[set].known)
        printf("%s of %zu samples%s\n", money(feature->baseline.sets[set].value, amount), count,
               feature->baseline.sets[set].capped ? ", more than half of them unusual: capped"
                                                  : "");
    else
        printf("%zu samples are too few\n", count);
    /* The 95th percentile is made of the same hours as the median before it. */
    for (size_t i = 0; i < count && set != BASELINE_HIGHEST; i++) {
        printf("  %s %14s", zone_format(tenant->zone, samples[i].hour->hour_ms, at),
               money(samples[i].value, amount));
        if (samples[i].enters && samples[i].value != samples[i].hour->cost)
            printf("  capped, of %s", money(samples[i].hour->cost, amount));
        if (!samples[i].enters)
            printf("  left out:");
        print_flags(samples[i].hour->flags);
        puts("");
    }
}

static void
print_state(const struct tenant *tenant, const struct feature *feature, int64_t now_ms)
{
    const struct breaker *breaker = &feature->breaker;
    char at[MOMENT_SIZE];
    char amount[TALLY_TEXT_SIZE];

    printf("feature   %s of %s, ", feature->name.at, tenant->name.at);
    printf("%.*s, as of %s\n", (int)tenant->currency.size, tenant->currency.at,
           moment_text(tenant->zone, now_ms, at));
    printf("state     %s", breaker_state_names[breaker->state]);
    if (breaker->until_ms != INT64_MAX)
        printf(" until %s", moment_text(tenant->zone, breaker->until_ms, at));
    if (breaker->opens > 0)
        printf(", cut %" PRId32 " times lately", breaker->opens);
    if (feature->actor.at != NULL)
        printf(", by %s: %s", feature->actor.at, feature->reason.at);
    puts("");
    if (breaker->tripped_ms == INT64_MIN)
        return;
    printf("tripped   %s", moment_text(tenant->zone, breaker->tripped_ms, at));
    printf(" by %s", money(breaker->observed, amount));
    printf(" in an hour, usual were %s", money(breaker->baseline, amount));
    if (breaker->would_block > 0)
        printf("; would have blocked %s", money(breaker->would_block, amount));
    puts("");
}

/* An amount of the rule in the tenant's currency and, where that is another one, as it is written. */
static void
print_amount(const struct tenant *tenant, tally here, tally written)
{
    const struct text own = tenant->currency;
    const struct text policy = tenant->policy->currency;
    char amount[TALLY_TEXT_SIZE];

    printf("%s %.*s", money(here, amount), (int)own.size, own.at);
    if (!text_eq(own, policy) && here != written)
        printf(" (%s %.*s)", money(written, amount), (int)policy.size, policy.at);
    else if (!text_eq(own, policy))
        printf(" (as written: there is no rate from %.*s)", (int)policy.size, policy.at);
}

static void
print_baseline(const struct tenant *tenant, const struct feature *feature)
{
    const struct baseline *baseline = &feature->baseline;
    char amount[TALLY_TEXT_SIZE];

    if (baseline->configured) {
        printf("baseline  ");
        print_amount(tenant, feature->usual.budget, feature->rule->budget);
        puts(", as configured");
    } else if (baseline->known) {
        printf("baseline  %s", money(baseline->value, amount));
        printf(": the greater of the typical hour, %s,", money(baseline->typical, amount));
        printf(" and the high one, %s; the floor is ", money(baseline->high, amount));
        print_amount(tenant, feature->usual.floor, feature->rule->floor);
        puts("");
    } else {
        puts("baseline  none yet: not protected");
    }
    if (feature->absolute != TALLY_MAX) {
        printf("absolute  ");
        print_amount(tenant, feature->absolute, feature->rule->absolute);
        puts(" in an hour trips, whatever is usual");
    }
}

static void
print_numbers(const struct tenant *tenant, const struct feature *feature,
              const struct breaker_view *view)
{
    char amount[TALLY_TEXT_SIZE];

    printf("spent     %s in this clock hour", money(view->hour, amount));
    printf(", %s in the last 60 minutes", money(view->window, amount));
    printf(", %s calls (fewer than %s never trip)\n", tally_format_count(view->calls, amount),
           tally_format_count(view->least_calls, (char[TALLY_TEXT_SIZE]){0}));
    print_baseline(tenant, feature);
    if (view->hour_limit != TALLY_MAX) {
        printf("trips     above %s in this clock hour", money(view->hour_limit, amount));
        printf(" or %s in 60 minutes", money(view->window_limit, amount));
        printf("; warns above %s\n", money(view->hour_warn, amount));
    }
}

static bool
explain(struct session *session, const struct arguments *arguments, struct err *why)
{
    struct standing_load load = {.tenant = NULL};
    struct breaker_view view;
    struct feature *feature = NULL;
    bool good = standing_load(session, arguments->words[0], &load, why);

    if (good && load.tenant->features == NULL)
        good = err_set(why, ERR_INPUT, "the policy has no breakers");
    if (good)
        feature = feature_find(load.tenant->features, text_of(arguments->words[1]));
    if (good && feature == NULL)
        good = err_set(why, ERR_INPUT, "tenant \"%s\" has no feature \"%s\" with any spending",
                       arguments->words[0], arguments->words[1]);
    if (good && feature != NULL) {
        slots_advance(&feature->slots, load.now_ms);
        feature_turn(feature, load.tenant, load.now_ms, true);
        feature_view(feature, load.now_ms, &view);
        print_state(load.tenant, feature, load.now_ms);
        print_numbers(load.tenant, feature, &view);
        for (enum baseline_set set = 0; set < BASELINE_SET_COUNT && !feature->baseline.configured;
             set++)
            print_set(load.tenant, feature, set);
    }
    tenant_free(load.tenant);
    return good;
}

static enum answer
run_explain(const struct arguments *arguments)
{
    struct err why = {.class = ERR_NONE};
    struct session session;
    enum answer answer;

    if (!session_open(&session, arguments, &answer))
        return answer;
    (void)explain(&session, arguments, &why);
    return session_close(&session, ANSWER_FINE, &why);
}

const struct command_row command_breaker_explain = {
    .name = "breaker explain",
    .words = "TENANT FEATURE",
    .least = 2,
    .most = 2,
    .what = "Show where a breaker stands and every hour its baseline is made of",
    .options = explain_options,
    .run = run_explain};

/* ---- words ------------------------------------------------------------------------------------------- */

static const struct option_row held_options[] = {
    OPTION_CONFIG,
    {"for", "DURATION", "how long: 15m, 2h, 1d12h, or ever (until the next word)", false},
    {"reason", "TEXT", "why; gateways show it, and it is kept", false},
    OPTION_ACTOR,
    OPTION_NO_WAIT,
    {NULL, NULL, NULL, false}};

static const struct option_row said_options[] = {OPTION_CONFIG,
                                                 {"reason", "TEXT", "why; it is kept", false},
                                                 OPTION_ACTOR,
                                                 OPTION_NO_WAIT,
                                                 {NULL, NULL, NULL, false}};

struct said {
    const char *word;
    int64_t for_ms; /* 0: until the next word */
};

static bool
read_said(const struct arguments *arguments, const char *word, bool held, struct said *said,
          struct err *why)
{
    const char *duration = held ? option_value(arguments, "for") : "ever";

    *said = (struct said){.word = word};
    if (command_reason(arguments, why) == NULL)
        return false;
    if (duration == NULL)
        return err_set(why, ERR_INPUT, "for how long? Say it with --for 2h (or --for ever)");
    if (strcmp(duration, "ever") != 0 &&
        (!clock_parse_duration(text_of(duration), &said->for_ms) || said->for_ms == 0))
        return err_set(why, ERR_INPUT, "--for %s is no duration: 15m, 2h, 1d12h or ever", duration);
    return true;
}

static bool
say(struct session *session, const struct arguments *arguments, void *what, struct err *why)
{
    const struct said *said = what;
    char lasts[48];
    char offset[48];

    (void)snprintf(lasts, sizeof lasts, "%" PRId64 " milliseconds", said->for_ms);
    (void)snprintf(offset, sizeof offset, "%" PRId64 " milliseconds",
                   session->config->clock_offset_ms);
    const char *const values[] = {arguments->words[0],
                                  arguments->words[1],
                                  said->word,
                                  said->for_ms == 0 ? NULL : lasts,
                                  offset,
                                  command_actor(arguments),
                                  option_value(arguments, "reason")};
    PGresult *rows =
        db_query(&session->db,
                 "SELECT tripmeter.breaker_say($1, $2, $3, now() + $5::interval + $4::interval,"
                 " $6, $7), " DB_MS("now() + $5::interval + $4::interval"),
                 values, 7, why);

    if (rows == NULL)
        return false;
    char until[MOMENT_SIZE];

    printf("feature %s of %s: %s%s%s, by %s: %s\n", values[1], values[0], said->word,
           said->for_ms == 0 ? "" : " until ",
           said->for_ms == 0 ? "" : moment_text(NULL, db_int(rows, 0, 1), until), values[5],
           values[6]);
    PQclear(rows);
    return true;
}

/* The word is the second one of the command's name. */
static enum answer
run_said(const struct arguments *arguments)
{
    const char *word = strchr(arguments->command->name, ' ') + 1;
    const bool held = arguments->command->options == held_options;
    struct err why = {.class = ERR_NONE};
    struct said said;

    if (!read_said(arguments, word, held, &said, &why))
        return command_misused(&why);
    return applied_command(arguments, say, &said);
}

const struct command_row command_breaker_trip = {.name = "breaker trip",
                                                 .words = "TENANT FEATURE",
                                                 .least = 2,
                                                 .most = 2,
                                                 .what = "Cut a feature of a tenant for a while",
                                                 .options = held_options,
                                                 .run = run_said};

const struct command_row command_breaker_allow = {
    .name = "breaker allow",
    .words = "TENANT FEATURE",
    .least = 2,
    .most = 2,
    .what = "Let a feature pass for a while, however much it spends",
    .options = held_options,
    .run = run_said};

const struct command_row command_breaker_reset = {
    .name = "breaker reset",
    .words = "TENANT FEATURE",
    .least = 2,
    .most = 2,
    .what = "Close a breaker; nothing of the past counts against the feature",
    .options = said_options,
    .run = run_said};

const struct command_row command_breaker_accept = {
    .name = "breaker accept",
    .words = "TENANT FEATURE",
    .least = 2,
    .most = 2,
    .what = "Close a breaker and take the present level for usual from now on",
    .options = said_options,
    .run = run_said};

const struct command_row command_breaker_shadow = {
    .name = "breaker shadow",
    .words = "TENANT FEATURE",
    .least = 2,
    .most = 2,
    .what = "Have a breaker only say what it would cut for a while",
    .options = held_options,
    .run = run_said};
