#include "cli/contract.h"

#include "config/quota_load.h"
#include "config/tenant_spec.h"

#include <inttypes.h>
#include <stdlib.h>

#define SPEC_MEMORY ((size_t)4 << 20)

bool
contract_check(json_t *spec, const struct policy *policy, struct err *why)
{
    struct arena *arena = arena_new(SPEC_MEMORY);
    char *text = json_dumps(spec, JSON_COMPACT | JSON_REAL_PRECISION(15));
    struct tenant_spec parsed = {.plan = {NULL, 0}};
    const bool good = arena != NULL && text != NULL
                          ? tenant_spec_parse(text_of(text), arena, &parsed, why) &&
                                tenant_spec_check(&parsed, policy, why)
                          : err_set(why, ERR_FATAL, "out of memory");

    free(text);
    arena_free(arena);
    return good;
}

/* ---- reading and writing ----------------------------------------------------------------------- */

static bool
set_text(json_t *spec, const char *member, const char *value)
{
    return value == NULL || json_object_set_new(spec, member, json_string(value)) == 0;
}

static bool
set_json(json_t *spec, const char *member, const char *value)
{
    return json_object_set_new(spec, member, json_loads(value, 0, NULL)) == 0;
}

/* Columns 1 to 7: plan, zone, cycle, currency, charge, limits, projects. */
json_t *
contract_of_row(const PGresult *rows, int row)
{
    json_t *spec = json_object();

    if (set_text(spec, "plan", db_text(rows, row, 1)) &&
        set_text(spec, "zone", db_text(rows, row, 2)) &&
        set_text(spec, "cycle", db_text(rows, row, 3)) &&
        set_text(spec, "currency", db_text(rows, row, 4)) &&
        set_text(spec, "charge", db_text(rows, row, 5)) &&
        set_json(spec, "limits", db_text(rows, row, 6)) &&
        set_json(spec, "projects", db_text(rows, row, 7)))
        return spec;
    json_decref(spec);
    return NULL;
}

bool
contract_read(struct db *db, const char *tenant, json_t **spec, int64_t *version, struct err *why)
{
    const char *const values[] = {tenant};
    /* A statement of its own: the next one then sees what the one that held the lock wrote. */
    PGresult *rows = db_query(
        db, "SELECT pg_advisory_xact_lock(hashtext('tripmeter.tenant:' || $1))", values, 1, why);

    if (rows == NULL)
        return false;
    PQclear(rows);
    rows = db_query(db,
                    "SELECT version, plan, zone, cycle, currency, charge, limits, projects"
                    " FROM tripmeter.tenant_version WHERE tenant = $1"
                    " ORDER BY version DESC LIMIT 1",
                    values, 1, why);
    if (rows == NULL)
        return false;
    *version = PQntuples(rows) == 0 ? 0 : db_int(rows, 0, 0);
    *spec =
        *version == 0 ? json_pack("{s:{}, s:{}}", "limits", "projects") : contract_of_row(rows, 0);
    PQclear(rows);
    return *spec != NULL ||
           err_set(why, ERR_FATAL, "tenant %s: its version %" PRId64 " cannot be read", tenant,
                   *version);
}

static char *
dump_member(json_t *spec, const char *member)
{
    json_t *value = json_object_get(spec, member);

    return value == NULL ? strdup("{}") : json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(15));
}

static const char sql_write[] =
    "WITH newest AS (SELECT * FROM tripmeter.tenant_version v WHERE v.tenant = $1"
    "  ORDER BY v.version DESC LIMIT 1)"
    "INSERT INTO tripmeter.tenant_version"
    "  (tenant, version, valid_from, actor, reason, plan, zone, cycle, currency, charge,"
    "   limits, projects)"
    "SELECT $1, coalesce((SELECT version FROM newest), 0) + 1, coalesce($2::timestamptz, now()),"
    "  $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11::jsonb "
    "WHERE NOT EXISTS (SELECT FROM newest n"
    "  WHERE (n.plan, n.zone, n.cycle, n.currency, n.charge, n.limits, n.projects)"
    "  IS NOT DISTINCT FROM"
    "  ($5::text, $6::text, $7::text, $8::text, $9::text, $10::jsonb, $11::jsonb)) "
    "RETURNING version";

/* Totals have one currency: what is booked is never converted. */
static bool
keeps_currency(struct db *db, const char *tenant, const char *currency,
               const struct contract_words *words, struct err *why)
{
    const char *const values[] = {tenant, words->currency};
    PGresult *rows = db_query(db,
                              "SELECT coalesce((SELECT v.currency FROM tripmeter.tenant_version v"
                              "  WHERE v.tenant = $1 ORDER BY v.version DESC LIMIT 1), $2)"
                              " WHERE EXISTS (SELECT FROM tripmeter.period_total p"
                              "  WHERE p.tenant = $1 AND (p.cost <> 0 OR p.charge <> 0))",
                              values, 2, why);
    const bool booked = rows != NULL && PQntuples(rows) > 0;
    const char *to = currency == NULL ? words->currency : currency;

    if (booked && strcmp(db_text(rows, 0, 0), to) != 0)
        (void)err_set(
            why, ERR_INPUT,
            "currency: what the tenant has used is booked in %s, and amounts in %s cannot "
            "be added to that: make another tenant for them",
            db_text(rows, 0, 0), to);
    PQclear(rows);
    return why->class == ERR_NONE;
}

bool
contract_write(struct db *db, const char *tenant, json_t *spec, const struct contract_words *words,
               int64_t *version, struct err *why)
{
    const char *currency = json_string_value(json_object_get(spec, "currency"));

    if (!keeps_currency(db, tenant, currency, words, why))
        return false;
    char *limits = dump_member(spec, "limits");
    char *projects = dump_member(spec, "projects");
    const char *const values[] = {tenant,
                                  words->from,
                                  words->actor,
                                  words->reason,
                                  json_string_value(json_object_get(spec, "plan")),
                                  json_string_value(json_object_get(spec, "zone")),
                                  json_string_value(json_object_get(spec, "cycle")),
                                  currency,
                                  json_string_value(json_object_get(spec, "charge")),
                                  limits,
                                  projects};
    PGresult *rows = limits == NULL || projects == NULL
                         ? NULL
                         : db_query(db, sql_write, values, sizeof values / sizeof values[0], why);

    if (rows != NULL)
        *version = PQntuples(rows) == 0 ? 0 : db_int(rows, 0, 0);
    else if (why->class == ERR_NONE)
        (void)err_set(why, ERR_FATAL, "out of memory");
    PQclear(rows);
    free(limits);
    free(projects);
    return why->class == ERR_NONE;
}

/* ---- changes as words --------------------------------------------------------------------------- */

/* As the policy file takes it: 50k, 1_000, 250.00. It is stored as a plain number, so that a contract
 * reads the same whatever way it was written. */
static bool
limit_value(const char *word, const char *value, json_t **out, struct err *why)
{
    const struct text none = {NULL, 0};
    const char *must;
    bool decimals;
    tally nano;

    if (strcmp(value, "unlimited") == 0) {
        *out = json_string(value);
        return true;
    }
    must = limit_read(text_of(value), none, &nano, &decimals);
    if (must != NULL)
        return err_set(why, ERR_INPUT,
                       "limit \"%s\" %s, or unlimited, or plan (as the plan has it)", word, must);
    *out = decimals ? json_string(value) : json_integer((json_int_t)(nano / MONEY_NANO_PER_UNIT));
    return true;
}

bool
contract_limit(json_t *limits, const char *word, struct err *why)
{
    const char *equals = strchr(word, '=');
    char quota[128];
    json_t *value = NULL;

    if (equals == NULL || equals == word || (size_t)(equals - word) >= sizeof quota)
        return err_set(why, ERR_INPUT, "limit \"%s\" is not quota=value, as in api_calls=60000",
                       word);
    (void)text_copy(quota, sizeof quota, (struct text){word, (size_t)(equals - word)});
    if (strcmp(equals + 1, "plan") == 0) {
        (void)json_object_del(limits, quota);
        return true;
    }
    return limit_value(word, equals + 1, &value, why) &&
           (json_object_set_new(limits, quota, value) == 0 ||
            err_set(why, ERR_INPUT, "limit \"%s\" is no UTF-8", word));
}

bool
contract_project(json_t *spec, const char *word, struct err *why)
{
    const size_t name_size = strcspn(word, ":");
    const char *rest = word[name_size] == ':' ? word + name_size + 1 : word + name_size;
    json_t *limits = json_object();
    bool good = name_size > 0 ||
                err_set(why, ERR_INPUT, "project \"%s\" is not name or name:quota=value,...", word);

    while (good && *rest != '\0') {
        const size_t size = strcspn(rest, ",");
        char limit[256];

        if (size >= sizeof limit)
            good = err_set(why, ERR_INPUT, "project \"%s\": a limit is too long", word);
        else {
            (void)text_copy(limit, sizeof limit, (struct text){rest, size});
            good = contract_limit(limits, limit, why);
        }
        rest += size + (rest[size] == ',');
    }
    char name[256];

    (void)text_copy(name, sizeof name, (struct text){word, name_size});
    if (good && json_object_set_new(json_object_get(spec, "projects"), name,
                                    json_pack("{s:O}", "limits", limits)) != 0)
        good = err_set(why, ERR_INPUT, "project \"%s\" is no UTF-8", word);
    json_decref(limits);
    return good;
}
