/* What a shard hands out to be settled, and what it is answered. */
#include "rules/shard_state.h"

#include <assert.h>

bool
shard_clean(const struct shard *shard)
{
    return settlement_empty(shard->open->settlement);
}

bool
shard_full(const struct shard *shard)
{
    return settlement_full(shard->open->settlement);
}

/* What memory holds of a row; NULL: nothing. */
static struct totals *
totals_of(struct tenant *tenant, const struct period_total *row)
{
    const int32_t project = row->project.size == 0 ? -1 : tenant_project(tenant, row->project);

    for (size_t p = 0; p < tenant->period_count; p++)
        if (tenant->periods[p].period.start_ms == row->start_ms &&
            (project >= 0 || row->project.size == 0))
            return &tenant->periods[p].totals[project + 1];
    return NULL;
}

/* The rows of totals are completed, with what memory believes the totals to be once the settlement is
 * committed. */
static void
expect_totals(struct shard *shard, struct book *book)
{
    const struct list *periods = &book->settlement->periods;

    for (size_t i = 0; i < periods->count; i++) {
        struct period_total *row = list_at(periods, i);
        struct key128 id;
        struct tenant *tenant = shard_find(shard, row->tenant, &id);

        if (tenant == NULL || tenant->split)
            continue;
        struct totals *totals = totals_of(tenant, row);

        if (totals == NULL)
            continue;
        book_complete(book, totals);
        row->expected_known = true;
        row->expected = totals->sum;
    }
}

/* What is closed to the events of every topic. */
static int64_t
closed_to_all(const struct shard *shard)
{
    int64_t closed_ms = INT64_MAX;

    for (size_t t = 0; t < shard->setup.topic_count; t++) {
        const int64_t topic_ms = shard_closed(shard, (int32_t)t);

        if (topic_ms < closed_ms)
            closed_ms = topic_ms;
    }
    return closed_ms;
}

struct settlement *
shard_freeze(struct shard *shard)
{
    if (shard->frozen != NULL || (shard_clean(shard) && !shard->time_moved))
        return NULL;
    struct settlement *settlement = shard->open->settlement;

    settlement->shard = shard->setup.shard;
    settlement->epoch = shard->epoch;
    settlement->seq = shard->seq++;
    settlement->time_ms = shard->time_ms;
    settlement->policy = shard->policy->serial;
    settlement->closed_ms = shard->closed_ms = closed_to_all(shard);
    expect_totals(shard, shard->open);
    originals_trim(&shard->originals);
    shard->time_moved = false;
    shard->frozen = shard->open;
    shard->open = shard->open == &shard->books[0] ? &shard->books[1] : &shard->books[0];
    book_open(shard->open, ++shard->number, settlement->progress);
    return settlement;
}

void
shard_settled(struct shard *shard, const struct period_total *differing, size_t count)
{
    assert(shard->frozen != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct period_total *row = &differing[i];
        struct key128 id;
        struct tenant *tenant = shard_find(shard, row->tenant, &id);
        struct amounts correction;

        if (tenant == NULL)
            continue;
        struct totals *totals = totals_of(tenant, row);

        amounts_difference(&correction, &row->delta, &row->expected);
        book_complete_all(shard->open, tenant);
        if (totals != NULL)
            (void)amounts_add(&totals->sum, &correction);
        if (!tenant->split)
            judge_now(shard, tenant, RESOLVED_CLEARED);
    }
    shard->frozen = NULL;
    shard->originals.settled++;
    shard_evict(shard);
    metric_add(shard->setup.metrics, METRIC_BURST_EVICTED,
               shard->burst.evicted - shard->burst_evicted);
    metric_add(shard->setup.metrics, METRIC_BURST_MISSED,
               shard->burst.missed - shard->burst_missed);
    shard->burst_evicted = shard->burst.evicted;
    shard->burst_missed = shard->burst.missed;
    metric_set_to(shard->setup.metrics, METRIC_TENANTS, (int64_t)shard->tenant_count);
}

/* ---- the record --------------------------------------------------------------------------------------------- */

size_t
shard_sought(const struct shard *shard, const struct sought **sought)
{
    *sought = shard->originals.sought.at;
    return shard->originals.sought.count;
}

void
shard_asked(struct shard *shard)
{
    originals_ask(&shard->originals);
}

void
shard_found(struct shard *shard, size_t index, const struct original *original)
{
    originals_found(&shard->originals, index, original);
}

bool
shard_answered(struct shard *shard, size_t count)
{
    return originals_answered(&shard->originals, count, shard->open->settlement,
                              shard->frozen == NULL ? NULL : shard->frozen->settlement);
}
