#include "sinks/store_private.h"

#include <openssl/evp.h>
#include <stdio.h>

#define IDENTITY_SIZE 8192

const char store_transitions_sql[] =
    "SELECT tripmeter.settle_transitions($1, $2::text[], $3::text[], $4::text[], $5::text[],"
    " $6::text[], $7::text[], $8::timestamptz[], $9::integer[], $10::numeric[], $11::text[],"
    " $12::text[], $13::numeric[], $14::numeric[], $15::boolean[], $16::text[], $17::text[],"
    " $18::timestamptz[], $19::boolean[], $20::text[], $21::text[])";

/* 16 hex digits and NUL. */
static bool
fingerprint_of(const struct transition *transition, char out[FINGERPRINT_SIZE], struct err *why)
{
    char identity[IDENTITY_SIZE];
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const size_t identity_size =
        alert_identity(identity, sizeof identity, transition->rule, transition->labels);

    if (identity_size == 0)
        return err_set(why, ERR_INPUT, "the labels of an alert are longer than %d bytes",
                       IDENTITY_SIZE);
    if (EVP_Digest(identity, identity_size, hash, &size, EVP_sha256(), NULL) != 1)
        return err_set(why, ERR_FATAL, "OpenSSL offers no SHA-256");
    for (size_t i = 0; i < (FINGERPRINT_SIZE - 1) / 2; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", hash[i]);
    return true;
}

static void
add_crossed(struct pgparam *param, const struct transition *transition)
{
    char text[16 * ALERT_STEP_LIMIT + 3] = "{";
    size_t used = 1;

    for (size_t i = 0; i < transition->crossed_count && i < ALERT_STEP_LIMIT; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d", i == 0 ? "" : ",",
                                 (int)transition->crossed[i]);
    text[used++] = '}';
    pgarray_text(param, (struct text){text, used});
}

static void
add_crossed_amounts(struct pgparam *param, const struct transition *transition)
{
    char text[(TALLY_TEXT_SIZE + 1) * ALERT_STEP_LIMIT + 3] = "{";
    char amount[TALLY_TEXT_SIZE];
    size_t used = 1;

    for (size_t i = 0; i < transition->crossed_amount_count && i < ALERT_STEP_LIMIT; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i == 0 ? "" : ",",
                                 transition->is_money
                                     ? tally_format_money(transition->crossed_amounts[i], amount)
                                     : tally_format_count(transition->crossed_amounts[i], amount));
    text[used++] = '}';
    pgarray_text(param, (struct text){text, used});
}

static void
add_value(struct pgparam *param, const struct transition *transition, tally value)
{
    if (!transition->has_value)
        pgarray_null(param);
    else if (transition->is_money)
        pgarray_money(param, value);
    else
        pgarray_count(param, value);
}

static void
add_step_amount(struct pgparam *param, const struct transition *transition)
{
    if (transition->step_amount == 0)
        pgarray_null(param);
    else if (transition->is_money)
        pgarray_money(param, transition->step_amount);
    else
        pgarray_count(param, transition->step_amount);
}

static void
add_time_or_null(struct pgparam *param, int64_t at_ms)
{
    if (at_ms == 0)
        pgarray_null(param);
    else
        pgarray_time(param, at_ms);
}

/* In the order of the parameters $2 .. $21. */
static const enum pg_type column_types[] = {
    PG_TEXT, PG_TEXT,    PG_TEXT, PG_TEXT, PG_TEXT,    PG_TEXT,    PG_TIME,
    PG_INT4, PG_NUMERIC, PG_TEXT, PG_TEXT, PG_NUMERIC, PG_NUMERIC, PG_BOOL,
    PG_TEXT, PG_TEXT,    PG_TIME, PG_BOOL, PG_TEXT,    PG_TEXT,
};

void
store_transition_params(struct store *store, int32_t shard)
{
    struct pgparams *const params = store_params(store);
    struct pgparam *const scalar = pgparams_scalar(params, PG_INT4);

    if (shard < 0)
        pgarray_null(scalar);
    else
        pgarray_int4(scalar, shard);
    for (size_t i = 0; i < sizeof column_types / sizeof column_types[0]; i++)
        (void)pgparams_array(params, column_types[i]);
}

bool
store_transition_add(struct store *store, const struct transition *transition, struct err *why)
{
    static const char *const moves[] = {"fire", "step", "resolve"};
    char fingerprint[FINGERPRINT_SIZE];
    const struct text labels = store_json_labels(transition->labels, store->arena);
    const bool resolved = transition->move == MOVE_RESOLVE;
    struct pgparam *column = store->params.at + 1; /* behind the shard */

    if (!fingerprint_of(transition, fingerprint, why))
        return false;
    if (labels.at == NULL)
        return err_set(why, ERR_RETRY, "no memory for the labels of an alert");
    pgarray_text(column++, text_of(fingerprint));
    pgarray_text(column++, text_of(moves[transition->move]));
    pgarray_text(column++, transition->rule);
    pgarray_text_or_null(column++, transition->labels[LABEL_TENANT]);
    pgarray_text(column++, labels);
    pgarray_text(column++, text_of(severity_names[transition->severity]));
    pgarray_time(column++, transition->at_ms);
    pgarray_int4(column++, transition->step);
    add_step_amount(column++, transition);
    add_crossed(column++, transition);
    add_crossed_amounts(column++, transition);
    add_value(column++, transition, transition->value);
    add_value(column++, transition, transition->threshold);
    pgarray_bool(column++, transition->is_money);
    pgarray_text_or_null(column++, transition->unit);
    pgarray_text_or_null(column++, transition->zone);
    add_time_or_null(column++, transition->resets_ms);
    pgarray_bool(column++, transition->restricts);
    pgarray_text_or_null(column++, text_of(resolved ? resolved_names[transition->reason] : NULL));
    pgarray_text_or_null(column, transition->summary);
    return true;
}

bool
store_raise(struct store *store, const struct transition *transition, struct err *why)
{
    arena_clear(store->arena);
    store_transition_params(store, -1);
    if (!store_transition_add(store, transition, why))
        return false;
    PGresult *const done = store_query(store, store_transitions_sql, why);

    PQclear(done);
    return done != NULL;
}
