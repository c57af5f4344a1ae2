/*
 * What a worker of the campaign holds of one shard: the real rules/shard.c over the real store.
 *
 * It goes the way of the engine, without its threads: claim, load what is restricted or due, read the
 * tail, apply records, freeze, apply more records while the settlement is under way, settle until
 * its fate is known.  What happens is told on standard output, a word a line, for the driver.
 */
#ifndef TESTS_CAMPAIGN_OWNER_H
#define TESTS_CAMPAIGN_OWNER_H

#include "ingest/decode.h"
#include "rules/policy.h"
#include "rules/shard.h"
#include "sinks/store.h"
#include "tests/campaign/log.h"

/* What all shards of a worker share. */
struct campaign {
    const struct config *config;
    const struct policy *policy;
    const char *name; /* of the worker: owner, and application_name of its connection */
    struct store *store;
    struct decoder *decoder;
    struct metric_set *metrics;
    void (*listen)(void); /* takes the driver's orders; called between steps */
};

struct owner {
    struct campaign *campaign;
    struct fake_log log;
    struct shard *shard; /* NULL: nothing is held */
    struct arena *memory;
};

/* Prints a word for the driver. */
void say(const char *word);

/* Claims the shard; false when that did not work out this time. */
bool owner_claim(struct owner *owner);
/* Applies at most `records` records and the same again while they are settled. False when the
 * shard is lost. */
bool owner_settle(struct owner *owner, int64_t records);
void owner_drop(struct owner *owner);

#endif
