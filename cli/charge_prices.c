#include "cli/charge_prices.h"

#include "core/clock.h"

#include <inttypes.h>
#include <stdio.h>

#define PRICES_LIMIT "1000"

/* Times as ms since 1970; a version without a beginning is 0. */
static const char sql_used[] = "SELECT policy, provider, model, coalesce(" DB_MS(
    "price_version") ", -1),"
                     " coalesce(" DB_MS(
                         "charge_version") ", -1), coalesce(charge_rule, ''), count(*)"
                                           " FROM tripmeter.settled_events_of($1) WHERE period = "
                                           "$2::timestamptz"
                                           "  AND recorded_at >= $2::timestamptz - interval '1 day'"
                                           "  AND ($3::text IS NULL OR feature = $3)"
                                           "  AND (price_version IS NOT NULL OR charge_rule IS NOT "
                                           "NULL)"
                                           " GROUP BY policy, provider, model, price_version, "
                                           "charge_version, charge_rule"
                                           " ORDER BY provider, model, policy, 4, 5 "
                                           "LIMIT " PRICES_LIMIT;

/* The policy that was in force: the one read last is kept. */
struct reading {
    struct session *session;
    struct policy *policy;
};

static bool
read_policy(struct reading *reading, const char *serial, struct err *why)
{
    const char *const values[] = {serial};
    struct findings findings = {.force = true};
    int64_t number = 0;

    (void)text_to_int(text_of(serial), 0, INT64_MAX, &number);
    if (reading->policy != NULL && reading->policy->serial == number)
        return true;
    PGresult *rows =
        db_query(&reading->session->db,
                 "SELECT body FROM tripmeter.policy WHERE serial = $1::bigint", values, 1, why);

    policy_free(reading->policy);
    reading->policy = rows == NULL || PQntuples(rows) == 0
                          ? NULL
                          : policy_load("the stored policy", PQgetvalue(rows, 0, 0),
                                        (size_t)PQgetlength(rows, 0, 0), &findings);
    if (reading->policy != NULL)
        reading->policy->serial = number;
    findings_free(&findings);
    PQclear(rows);
    return rows != NULL;
}

static void
print_price(const struct price *price)
{
    const char *before = "";
    char text[PRICE_TEXT_SIZE];

    for (int part = 0; part < PRICE_PART_COUNT; part++)
        if (price->pico[part] != 0) {
            printf("%s%s %s", before, price_part_names[part],
                   price_format(price->pico[part], text));
            before = ", ";
        }
    if (before[0] == '\0')
        fputs("nothing", stdout);
}

static void
print_version(const struct price_list *list, const PGresult *rows, int row, int64_t from_ms)
{
    const char *provider = db_text(rows, row, 1);
    const char *model = db_text(rows, row, 2);
    const struct price_version *version =
        list == NULL ? NULL : price_find(list, text_of(provider), text_of(model), from_ms);
    char since[CLOCK_TEXT_SIZE];

    printf("  %s%s%s, list %s", provider, provider[0] == '\0' ? "" : "/", model,
           list == NULL ? "(gone)" : list->name.at);
    if (from_ms > 0)
        printf(" since %s", clock_format(from_ms, since));
    printf(", policy %s, %s lines: ", db_text(rows, row, 0), db_text(rows, row, 6));
    if (version == NULL) {
        puts("not in what is stored of it");
        return;
    }
    print_price(&version->tiers[0].price);
    for (size_t t = 1; t < version->tier_count; t++) {
        printf("; above %" PRId64 " input tokens ", version->tiers[t].above);
        print_price(&version->tiers[t].price);
    }
    printf(" %s\n", list->currency.at);
}

static void
print_row(const struct policy *policy, const PGresult *rows, int row)
{
    const int64_t price_ms = db_int(rows, row, 3);
    const int64_t charge_ms = db_int(rows, row, 4);
    const char *rule = db_text(rows, row, 5);
    struct charge_rule charge = {.list = NULL};

    if (price_ms >= 0)
        print_version(policy == NULL ? NULL : policy->prices.providers, rows, row, price_ms);
    if (charge_ms >= 0) {
        if (policy != NULL)
            (void)charge_read(text_of(rule), &policy->prices, &charge);
        print_version(charge.list, rows, row, charge_ms);
    } else if (rule[0] != '\0') {
        printf("  %s/%s, charged by the cost and the mark-up of \"%s\", %s lines\n",
               db_text(rows, row, 1), db_text(rows, row, 2), rule, db_text(rows, row, 6));
    }
}

bool
charge_prices_print(struct session *session, const struct charge_prices *of, struct err *why)
{
    const char *const values[] = {of->tenant, of->period, of->feature};
    PGresult *rows = db_query(&session->db, sql_used, values, 3, why);
    struct reading reading = {.session = session};
    bool good = rows != NULL;

    if (good && PQntuples(rows) > 0)
        puts("\nprices     for one token, or one request:");
    for (int row = 0; good && row < PQntuples(rows); row++) {
        good = read_policy(&reading, db_text(rows, row, 0), why);
        if (good)
            print_row(reading.policy, rows, row);
    }
    policy_free(reading.policy);
    PQclear(rows);
    return good;
}
