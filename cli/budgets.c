#include "cli/budgets.h"

#include "cli/columns.h"
#include "cli/contract.h"
#include "config/tenant_spec.h"

#include <inttypes.h>
#include <stdlib.h>

#define SPEC_MEMORY ((size_t)4 << 20)
enum { PAGE = 1000 };

/* A page of contracts that declare projects. */
static const char sql_contracts[] =
    "SELECT v.tenant, v.plan, v.zone, v.cycle, v.currency, v.charge, v.limits, v.projects"
    " FROM (SELECT DISTINCT ON (tenant) * FROM tripmeter.tenant_version"
    "  WHERE tenant > $1 COLLATE \"C\" ORDER BY tenant, version DESC) v"
    " WHERE v.projects <> '{}' ORDER BY v.tenant LIMIT 1000";

struct check {
    const struct policy *policy;
    struct arena *memory; /* of one contract */
    struct columns *columns;
    size_t tenants;
    size_t over;
};

static void
add_amount(struct check *check, const struct quota *quota, struct text currency, tally amount)
{
    const bool money = meter_is_money(quota->meter);
    char number[TALLY_TEXT_SIZE];
    char text[TALLY_TEXT_SIZE + 8];

    (void)snprintf(text, sizeof text, "%s%s%.*s", tally_format_short(amount, money ? 2 : 0, number),
                   money ? " " : "", money ? (int)currency.size : 0, money ? currency.at : "");
    columns_add(check->columns, text);
}

static bool
add_budget(struct check *check, const char *tenant, const struct tenant_spec *spec,
           const struct quota *quota)
{
    const struct text currency =
        spec->currency.at == NULL ? check->policy->currency : spec->currency;
    struct tenant_budget budget;
    char projects[24];

    if (!tenant_spec_budget(spec, check->policy, quota, &budget))
        return false;
    (void)snprintf(projects, sizeof projects, "%zu", budget.projects);
    columns_add(check->columns, tenant);
    columns_add(check->columns, quota->name.at);
    columns_add(check->columns, projects);
    add_amount(check, quota, currency, budget.limit);
    add_amount(check, quota, currency, budget.given);
    add_amount(check, quota, currency, budget.limit - budget.given);
    check->over += budget.given > budget.limit && !check->policy->overcommit;
    return true;
}

static bool
add_tenant(struct check *check, const PGresult *rows, int row, struct err *why)
{
    json_t *contract = contract_of_row(rows, row);
    char *json = contract == NULL ? NULL : json_dumps(contract, JSON_COMPACT);
    struct tenant_spec spec = {.plan = {NULL, 0}};
    bool divided = false;

    arena_clear(check->memory);
    const bool good = json == NULL ? err_set(why, ERR_FATAL, "out of memory")
                                   : tenant_spec_parse(text_of(json), check->memory, &spec, why) ||
                                         err_wrap(why, "tenant %s", db_text(rows, row, 0));

    if (good) {
        const struct plan *plan =
            spec.plan.at == NULL ? NULL : policy_plan(check->policy, spec.plan);

        if (plan == NULL)
            plan = check->policy->fallback_plan;
        for (size_t i = 0; i < plan->quota_count; i++)
            divided |= add_budget(check, db_text(rows, row, 0), &spec, &plan->quotas[i]);
    }
    check->tenants += divided;
    free(json);
    json_decref(contract);
    return good;
}

static bool
add_tenants(struct check *check, struct session *session, struct err *why)
{
    char after[EVENT_ID_LIMIT + 1] = "";
    bool good = true;
    int count = PAGE;

    while (good && count == PAGE) {
        const char *const values[] = {after};
        PGresult *rows = db_query(&session->db, sql_contracts, values, 1, why);

        good = rows != NULL;
        count = good ? PQntuples(rows) : 0;
        for (int row = 0; good && row < count; row++)
            good = add_tenant(check, rows, row, why);
        if (count > 0)
            (void)text_copy(after, sizeof after, text_of(db_text(rows, count - 1, 0)));
        PQclear(rows);
    }
    return good;
}

bool
budgets_check(struct session *session, size_t *over, struct err *why)
{
    static const char *const titles[] = {"TENANT",         "QUOTA",        ">PROJECTS", ">LIMIT",
                                         ">GIVEN TO THEM", ">UNALLOCATED", NULL};
    struct check check = {.policy = session->policy,
                          .memory = arena_new(SPEC_MEMORY),
                          .columns = columns_new(titles)};
    bool good =
        (check.memory != NULL && check.columns != NULL) || err_set(why, ERR_FATAL, "out of memory");

    good = good && add_tenants(&check, session, why);
    if (good && check.tenants == 0)
        puts("\nno tenant has given a part of a limit to its projects");
    else if (good) {
        printf("\nwhat %zu tenant%s given to projects of the limits of this policy:\n",
               check.tenants, check.tenants == 1 ? " has" : "s have");
        columns_print(check.columns, stdout);
    }
    if (good && check.over > 0)
        printf("%zu give%s away more than there is: lower theirs, raise the limit, or say\n"
               "overcommit: allow in the policy\n",
               check.over, check.over == 1 ? "s" : "");
    *over = check.over;
    columns_free(check.columns);
    arena_free(check.memory);
    return good;
}
