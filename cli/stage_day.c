/* The rules of the last day on a stage: what the leader of the fleet asks Postgres
 * (tripmeter.watch_day), of what is settled here. */
#include "cli/stage_state.h"

#include "rules/day.h"

#include <stdlib.h>

/* ---- what is settled --------------------------------------------------------------------------------- */

static struct day_row *
row_of(struct stage *stage, const struct day_row *wanted)
{
    struct list *rows = &stage->db.days;

    for (size_t i = rows->count; i-- > 0;) {
        struct day_row *row = list_at(rows, i);

        if (row->rule == wanted->rule && row->hour_ms == wanted->hour_ms &&
            text_eq(row->name, wanted->name) && text_eq(row->tenant, wanted->tenant))
            return row;
    }
    struct day_row *row = stage_must(list_add(rows));

    *row = *wanted;
    row->tenant = stage_keep(stage, wanted->tenant);
    row->name = stage_keep(stage, wanted->name);
    return row;
}

void
stage_write_days(struct stage *stage, const struct settlement *settlement)
{
    struct amounts delta;

    if (stage->fleet == NULL)
        return;
    for (size_t i = 0; i < settlement->key_facts.count; i++) {
        const struct key_fact *fact = list_at(&settlement->key_facts, i);

        delta_read(&fact->delta, &settlement->wide, &delta);
        row_of(stage, &(struct day_row){DAY_KEYS, fact->tenant, fact->key, fact->hour_ms, 0, 0})
            ->spent += delta.cost - delta.refunded;
    }
    for (size_t i = 0; i < settlement->facts.count; i++) {
        const struct fact *fact = list_at(&settlement->facts, i);
        char name[2 * EVENT_ID_LIMIT + 2];
        size_t size = text_copy(name, sizeof name, fact->provider);

        if (size > 0)
            size += text_copy(name + size, sizeof name - size, TEXT("/"));
        size += text_copy(name + size, sizeof name - size, fact->model);
        delta_read(&fact->delta, &settlement->wide, &delta);
        struct day_row *row = row_of(
            stage, &(struct day_row){DAY_MARGIN, fact->tenant, {name, size}, fact->hour_ms, 0, 0});

        row->spent += delta.cost;
        row->charge += delta.charge;
    }
}

/* ---- what is asked ------------------------------------------------------------------------------------ */

#define NAME_LIMIT 256 /* of a tenant on a stage; further ones are left out */

struct sums {
    struct day_row at[NAME_LIMIT];
    size_t count;
};

static void
add_up(const struct stage *stage, enum day_rule rule, struct text tenant, int64_t until_ms,
       struct sums *out)
{
    out->count = 0;
    for (size_t i = 0; i < stage->db.days.count; i++) {
        const struct day_row *row = list_at(&stage->db.days, i);
        size_t s = 0;

        if (row->rule != rule || !text_eq(row->tenant, tenant) || row->hour_ms >= until_ms ||
            row->hour_ms < until_ms - CLOCK_DAY_MS)
            continue;
        while (s < out->count && !text_eq(out->at[s].name, row->name))
            s++;
        if (s == NAME_LIMIT)
            continue;
        if (s == out->count) {
            out->at[out->count++] = *row;
            continue;
        }
        out->at[s].spent += row->spent;
        out->at[s].charge += row->charge;
    }
}

static int
compare_spent(const void *one, const void *other)
{
    const struct day_row *a = one;
    const struct day_row *b = other;

    return a->spent < b->spent ? -1 : a->spent > b->spent;
}

/* False: nothing is wrong, not even a little. */
static bool
find_key(struct sums *sums, struct day_finding *out, bool *breaks)
{
    qsort(sums->at, sums->count, sizeof sums->at[0], compare_spent);
    const struct day_row *worst = &sums->at[sums->count - 1];
    const tally median =
        sums->count < 3
            ? 0
            : (sums->at[(sums->count - 1) / 2].spent + sums->at[sums->count / 2].spent) / 2;

    if (median <= 0 || 2 * worst->spent <= 3 * median)
        return false;
    out->name = worst->name;
    out->spent = worst->spent;
    out->against = median;
    out->impact = worst->spent - median;
    out->all = (int64_t)sums->count;
    for (size_t i = 0; i < sums->count; i++)
        out->members += sums->at[i].spent > 2 * median;
    *breaks = out->members > 0;
    return true;
}

static bool
find_margin(const struct sums *sums, struct day_finding *out, bool *breaks)
{
    for (size_t i = 0; i < sums->count; i++) {
        const struct day_row *row = &sums->at[i];

        if (row->charge >= row->spent)
            continue;
        if (out->members++ == 0 || row->spent - row->charge > out->spent - out->against) {
            out->name = row->name;
            out->spent = row->spent;
            out->against = row->charge;
        }
        out->impact += row->spent - row->charge;
    }
    *breaks = out->members > 0;
    return *breaks;
}

static void
look_at(struct stage *stage, struct tenant_row *tenant, enum day_rule rule, int64_t until_ms)
{
    static struct sums sums;
    const struct policy *policy = stage->db.policy;
    bool *told = &tenant->day_told[rule];
    bool breaks = false;
    struct day_finding finding = {
        .tenant = tenant->name,
        .zone = tenant->zone == NULL ? policy->zone : text_of(zone_name(tenant->zone)),
        .currency = tenant->spec.currency.size > 0 ? tenant->spec.currency : policy->currency};
    const tally least = prices_convert(&policy->prices, policy->anomaly.ticket, policy->currency,
                                       finding.currency, until_ms);

    add_up(stage, rule, tenant->name, until_ms, &sums);
    const bool found = day_rule_on(policy, rule) && sums.count > 0 &&
                       (rule == DAY_KEYS ? find_key(&sums, &finding, &breaks)
                                         : find_margin(&sums, &finding, &breaks));

    finding.over = *told;
    if (*told ? found && 2 * finding.impact >= least : !(breaks && finding.impact >= least))
        return;
    *told = !*told;
    shard_day(stage->fleet, rule, &finding);
}

void
stage_days(struct stage *stage)
{
    const int64_t until_ms = day_until(stage_time(stage));

    if (until_ms == stage->day_until_ms && stage->day_policy == stage->db.policy)
        return;
    stage->day_until_ms = until_ms;
    stage->day_policy = stage->db.policy;
    for (size_t i = 0; i < stage->db.tenants.count; i++)
        for (int r = 0; r < DAY_RULE_COUNT; r++)
            look_at(stage, *(struct tenant_row **)list_at(&stage->db.tenants, i), (enum day_rule)r,
                    until_ms);
}
