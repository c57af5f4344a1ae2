#include "rules/carrying.h"

#include "rules/shard_state.h"

static void
store_one(struct shard *shard, struct tenant *tenant, struct carry *carry)
{
    struct carry_memory *row = shard_must(list_add(&shard->open->settlement->carries));

    *row = carry->row;
    row->tenant = shard_keep(shard, tenant->name);
    row->quota = shard_keep(shard, carry->row.quota);
    row->project = carry->row.project.size == 0 ? TEXT("") : shard_keep(shard, carry->row.project);
    carry->changed = false;
    tenant->touched = shard->open->number;
}

void
carrying_store(struct shard *shard, struct tenant *tenant)
{
    struct list *rows = &tenant->carries->rows;
    size_t kept = 0;

    for (size_t i = 0; i < rows->count; i++) {
        struct carry *carry = list_at(rows, i);

        if (carry->changed)
            store_one(shard, tenant, carry);
        if (!carry->row.closed || carry->row.end_ms > shard->closed_ms)
            *(struct carry *)list_at(rows, kept++) = *carry;
    }
    rows->count = kept;
}

void
carrying_late(struct shard *shard, struct tenant *tenant, const struct booking *booking,
              struct text trigger)
{
    const struct occasion occasion = {.trigger = trigger, .reason = RESOLVED_LIMIT_RAISED};

    if (!carries_late(tenant, booking->project_index, booking->period.start_ms,
                      &booking->amounts)) {
        carrying_store(shard, tenant);
        return;
    }
    for (size_t q = 0; q < tenant->quota_count; q++)
        tenant_bind_limit(tenant, &tenant->quotas[q]);
    judge_tenant(shard, tenant, &occasion);
}
