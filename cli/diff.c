#include "cli/diff.h"

#include "cli/columns.h"
#include "cli/moment.h"
#include "cli/policy_diff.h"
#include "config/zones.h"
#include "sinks/store.h"

#include <inttypes.h>

enum { PAGE = 500, WAIT_MS = 30000, CHANGE_LIMIT = 1000 };

/* Every tenant that has an event or a contract (`*`, the fleet, is none), with the time of its shard; a
 * page of them. */
static const char sql_tenants[] = "SELECT n.tenant, coalesce(h.shard, 0), " DB_MS(
    "s.shard_time") ", coalesce(s.enforcing, true)"
                    " FROM (SELECT tenant FROM tripmeter.tenant_shard"
                    " UNION SELECT tenant FROM tripmeter.tenant_version) n"
                    " LEFT JOIN tripmeter.tenant_shard h USING (tenant)"
                    " LEFT JOIN tripmeter.shard s ON s.shard = coalesce(h.shard, 0)"
                    " WHERE n.tenant <> '*'"
                    " AND (coalesce(h.shard, 0), n.tenant) > ($1::integer, $2 COLLATE \"C\")"
                    " ORDER BY 2, n.tenant LIMIT 500";

struct check {
    struct policy_diff *diff;
    const struct zone *zone; /* of tenants that name none */
    struct diff_moment moment;
    struct columns *columns;
    struct columns *misfits;
    size_t changes;
    size_t tenants;
    size_t touched;
    bool touched_now; /* this one */
    bool good;
};

/* ---- printed ---------------------------------------------------------------------------------------- */

static void
add_limit(struct check *check, const struct diff_change *change, const struct diff_limit *limit)
{
    char text[AMOUNT_SIZE];

    columns_add(check->columns, !change->has_quota ? ""
                                : limit->none      ? "none"
                                : limit->unlimited ? "unlimited"
                                                   : amount_text(limit->amount, change->is_money,
                                                                 change->currency, text));
}

static void
add_what(struct check *check, const struct diff_change *change)
{
    static const char *const words[] = {
        [DIFF_OPENS] = "alert opens", [DIFF_RISES] = "alert rises", [DIFF_CLOSES] = "alert closes",
        [DIFF_BLOCKS] = "is BLOCKED", [DIFF_ALLOWS] = "is allowed", [DIFF_MISFITS] = "",
    };
    char what[SCOPE_SIZE + 128];
    char step[AMOUNT_SIZE];

    if (change->scope.size > 0)
        (void)snprintf(what, sizeof what, "%.*s %s%s%s", (int)change->scope.size, change->scope.at,
                       words[change->kind], change->code == NULL ? "" : ": ",
                       change->code == NULL ? "" : change->code);
    else if (change->step > 0)
        (void)snprintf(what, sizeof what, "%s (%" PRId32 " %%)", words[change->kind], change->step);
    else if (change->step_amount > 0)
        (void)snprintf(what, sizeof what, "%s (at %s)", words[change->kind],
                       amount_text(change->step_amount, change->is_money, change->currency, step));
    else
        (void)snprintf(what, sizeof what, "%s", words[change->kind]);
    columns_add(check->columns, what);
}

static void
add_text(struct columns *columns, struct text text)
{
    char cell[SCOPE_SIZE];

    (void)text_copy(cell, sizeof cell, text);
    columns_add(columns, cell);
}

/* Those beyond a thousand are counted: nobody reads them. */
static void
on_change(void *context, const struct diff_change *change)
{
    struct check *check = context;
    char used[AMOUNT_SIZE];

    check->touched_now = true;
    if (check->changes++ >= CHANGE_LIMIT)
        return;
    if (change->kind == DIFF_MISFITS) {
        add_text(check->misfits, change->tenant);
        add_text(check->misfits, change->text);
        columns_add(check->misfits, change->before ? "already now" : "new");
        return;
    }
    add_text(check->columns, change->tenant);
    add_text(check->columns, change->rule);
    add_text(check->columns, change->of);
    columns_add(check->columns, change->has_quota ? amount_text(change->used, change->is_money,
                                                                change->currency, used)
                                                  : "");
    add_limit(check, change, &change->now);
    add_limit(check, change, &change->next);
    add_what(check, change);
}

static void
print(const struct check *check)
{
    printf("\nwhat this policy would change for %zu tenant%s, as settled:\n", check->tenants,
           check->tenants == 1 ? "" : "s");
    if (columns_rows(check->columns) > 0)
        columns_print(check->columns, stdout);
    if (columns_rows(check->misfits) > 0) {
        puts("contracts that do not fit it:");
        columns_print(check->misfits, stdout);
    }
    if (check->changes > CHANGE_LIMIT)
        printf("and %zu more\n", check->changes - CHANGE_LIMIT);
    if (check->changes == 0)
        puts("nothing opens, nothing closes");
    else
        printf("%zu change%s for %zu tenant%s\n", check->changes, check->changes == 1 ? "" : "s",
               check->touched, check->touched == 1 ? "" : "s");
}

/* ---- compared --------------------------------------------------------------------------------------- */

static void
on_tenant(void *context, const struct tenant_load *load)
{
    struct check *check = context;
    struct tenant_load whole = *load;

    if (whole.zone == NULL)
        whole.zone = check->zone;
    check->touched_now = false;
    check->good =
        check->good && policy_diff_tenant(check->diff, &whole, &check->moment, on_change, check);
    check->tenants++;
    check->touched += check->touched_now;
}

/* The tenants of one shard among those of a page. */
static bool
compare_some(struct store *store, struct check *check, const struct load_query *query,
             struct err *why)
{
    if (!store_load_send(store, query, why))
        return false;
    const int answer = store_load_poll(store, WAIT_MS, on_tenant, check, why);

    if (answer == 0)
        return err_set(why, ERR_RETRY, "Postgres does not answer");
    if (answer < 0)
        return false;
    return check->good || err_set(why, ERR_FATAL, "out of memory");
}

static bool
compare_page(struct session *session, struct store *store, struct check *check,
             const PGresult *rows, bool features, struct err *why)
{
    struct text names[PAGE];
    size_t count = 0;

    for (int i = 0; i < PQntuples(rows); i++) {
        const bool last = i + 1 == PQntuples(rows) || db_int(rows, i + 1, 1) != db_int(rows, i, 1);

        names[count++] = text_of(db_text(rows, i, 0));
        if (!last)
            continue;
        check->moment = (struct diff_moment){.time_ms = db_text(rows, i, 2) == NULL
                                                            ? command_now_ms(session->config)
                                                            : db_int(rows, i, 2),
                                             .enforcing = db_true(rows, i, 3)};
        const struct load_query query = {.shard = (int32_t)db_int(rows, i, 1),
                                         .after_ms = check->moment.time_ms,
                                         .features = features,
                                         .names = names,
                                         .count = count};

        if (!compare_some(store, check, &query, why))
            return false;
        count = 0;
    }
    return true;
}

static bool
compare_all(struct session *session, struct check *check, bool features, struct err *why)
{
    struct store *store = store_open(session->config, "tripmeter check", why);
    char shard[16] = "-1";
    char tenant[EVENT_ID_LIMIT + 1] = "";
    bool good = store != NULL;
    int count = PAGE;

    while (good && count == PAGE) {
        const char *const values[] = {shard, tenant};
        PGresult *rows = db_query(&session->db, sql_tenants, values, 2, why);

        good = rows != NULL && compare_page(session, store, check, rows, features, why);
        count = good ? PQntuples(rows) : 0;
        if (count > 0) {
            (void)snprintf(shard, sizeof shard, "%" PRId64, db_int(rows, count - 1, 1));
            (void)text_copy(tenant, sizeof tenant, text_of(db_text(rows, count - 1, 0)));
        }
        PQclear(rows);
    }
    store_close(store);
    return good;
}

bool
diff_check(struct session *session, size_t *changes, struct err *why)
{
    static const char *const titles[] = {"TENANT",     "RULE",        "OF",   ">USED",
                                         ">LIMIT NOW", ">LIMIT THEN", "WHAT", NULL};
    static const char *const misfit_titles[] = {"TENANT", "WHAT DOES NOT FIT", "SINCE", NULL};
    struct policy *next = session->policy;
    struct check check = {.good = true};
    bool good = false;

    session->policy = NULL;
    const struct policy *now = session_policy(session, why);

    if (now == NULL && why->class == ERR_NONE) {
        puts("\nno policy is in force yet: there is nothing to compare with");
        good = true;
        goto done;
    }
    if (now == NULL)
        goto done;
    check.zone = zones_get(now->zone, why);
    if (check.zone == NULL)
        goto done;
    check.diff = policy_diff_new(now, next);
    check.columns = columns_new(titles);
    check.misfits = columns_new(misfit_titles);
    good = (check.diff != NULL && check.columns != NULL && check.misfits != NULL) ||
           err_set(why, ERR_FATAL, "out of memory");
    good = good && compare_all(session, &check, now->has_breakers || next->has_breakers, why);
    if (good)
        print(&check);
done:
    *changes = check.changes;
    columns_free(check.columns);
    columns_free(check.misfits);
    policy_diff_free(check.diff);
    policy_free(next);
    return good;
}
