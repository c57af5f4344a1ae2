#include "engine/policies.h"

#include "config/config.h"
#include "config/policy_prices.h"

#include <pthread.h>
#include <stdlib.h>

#define POLICY_LIMIT 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct policy *policies[POLICY_LIMIT];
static size_t count;

static const struct policy *
find(int64_t serial)
{
    for (size_t i = 0; i < count; i++)
        if (policies[i]->serial == serial)
            return policies[i];
    return NULL;
}

const struct policy *
policies_add(struct policy *policy)
{
    (void)pthread_mutex_lock(&lock);
    const struct policy *kept = find(policy->serial);

    if (kept != NULL) {
        policy_free(policy);
    } else if (count < POLICY_LIMIT) {
        policies[count++] = policy;
        kept = policy;
    } else {
        abort(); /* thousands of reloads in one process: a restart goes on from Postgres */
    }
    (void)pthread_mutex_unlock(&lock);
    return kept;
}

const struct policy *
policies_get(struct store *store, int64_t serial, struct err *why)
{
    const struct policy *found;
    struct arena *memory;
    struct findings findings = {.force = true};
    struct text body;
    struct policy *built = NULL;

    (void)pthread_mutex_lock(&lock);
    found = find(serial);
    (void)pthread_mutex_unlock(&lock);
    if (found != NULL)
        return found;
    memory = arena_new((size_t)32 << 20);
    if (memory != NULL && store_policy_body(store, serial, memory, &body, why)) {
        built = policy_load("stored policy", body.at, body.size, &findings);
        if (built == NULL)
            (void)err_set(why, ERR_FATAL, "policy %lld as stored cannot be read: %s",
                          (long long)serial,
                          findings.count > 0 ? findings.at[0].text : "no reason");
        findings_free(&findings);
    }
    arena_free(memory);
    if (built == NULL)
        return NULL;
    built->serial = serial;
    return policies_add(built);
}

bool
policies_likely(struct store *store, const struct policy *policy, struct err *why)
{
    struct findings findings = {.arena = NULL};
    int64_t serial = 0;

    if (!store_policy_serial(store, &serial, why))
        return false;
    const struct policy *before = serial == 0 ? NULL : policies_get(store, serial, why);

    if (before == NULL)
        return serial == 0 || why->class == ERR_FATAL;
    policy_prices_compare(&findings, before, policy);
    const bool likely = findings.error_count == 0;

    if (!likely)
        (void)err_set(why, ERR_FATAL, "%s: %s", findings.count > 0 ? findings.at[0].file : "prices",
                      findings.count > 0 ? findings.at[0].text : "unlikely");
    findings_free(&findings);
    return likely;
}

void
policies_free(void)
{
    for (size_t i = 0; i < count; i++)
        policy_free(policies[i]);
    count = 0;
}
