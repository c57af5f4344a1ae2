/*
 * What a shard should do, thought a second time and naively: events in plain arrays, totals summed
 * anew whenever they are needed, every quota looked at after every event.
 *
 * Nothing of rules/ is called.  Policies, contracts and words are the world's: input to both.  What
 * a crash takes back is one plain struct, so that a copy of it is what Postgres has.
 */
#ifndef TESTS_SHARD_MODEL_H
#define TESTS_SHARD_MODEL_H

#include "tests/shard_world.h"

enum {
    MODEL_TENANTS = 4,
    MODEL_PROJECTS = 3, /* [0] the tenant itself */
    MODEL_QUOTAS = 3,
    MODEL_SAID = 64
};
extern const char *const model_tenants[MODEL_TENANTS];
extern const char *const model_projects[MODEL_PROJECTS];
extern const char *const model_quotas[MODEL_QUOTAS];

struct model_quota {
    int32_t spent; /* of the steps that are percentages, */
    tally amount;  /* and of those that are amounts */
    bool open;
    bool blocked;
    int64_t since_ms;
};

struct model {
    int64_t now_ms;
    int64_t partition_ms;
    const struct policy *policy;
    bool enforcing;
    struct period period[MODEL_TENANTS]; /* the present one, when it was last looked at */
    struct model_quota quotas[MODEL_TENANTS][MODEL_PROJECTS][MODEL_QUOTAS];
    size_t booked;
    size_t occurred;
    int64_t counted;
    int64_t adjusted; /* of the counted ones: too late for their periods */
    int64_t duplicates;
    int64_t dead;
};

/* The present model; what was said since model_quiet, one text each. */
extern struct model model;
extern char model_said[MODEL_SAID][160];
extern size_t model_said_count;

void model_open(const struct policy *policy);
void model_quiet(void);
void model_load(const struct world *world, size_t tenant);
void model_advance(const struct world *world, int64_t now_ms, const bool held[MODEL_TENANTS]);
/* `held`: which tenants the shard holds; a counted event makes it so. */
void model_event(const struct world *world, const struct logged *logged, bool held[MODEL_TENANTS]);
void model_policy(const struct world *world, const struct policy *policy,
                  const bool held[MODEL_TENANTS]);
size_t model_tenant(struct text name);
/* How many restrictions a scope has; *since_ms of the quota among them when that is the only one,
 * else 0. */
size_t model_restrictions(const struct world *world, size_t tenant, size_t project,
                          int64_t *since_ms);
/* Total of a tenant or project in the period that begins at start_ms. */
struct amounts model_total(size_t tenant, size_t project, int64_t start_ms);

#endif
