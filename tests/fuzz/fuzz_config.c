/*
 * Any bytes as a configuration, a policy or a tenant's contract: reading ends, and either gives
 * something whole or says where it is wrong.
 *
 * The first byte chooses: c a configuration, p a policy, t a contract, y a bare tree.
 */
#include "config/config.h"
#include "config/tenant_spec.h"
#include "config/yaml.h"
#include "rules/policy.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { TREE_SIZE = 16 << 20, SPEC_SIZE = 1 << 20 };

/* Unlike assert, also with NDEBUG. */
#define PROMISE(condition)                                                          \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "broken promise, line %d: %s\n", __LINE__, #condition); \
            abort();                                                                \
        }                                                                           \
    } while (0)

static void
check_findings(const struct findings *findings, bool good)
{
    PROMISE(good == (findings->error_count == 0));
    PROMISE(findings->count <= FINDINGS_LIMIT);
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *one = &findings->at[i];

        PROMISE(one->line >= 1 && one->column >= 1);
        PROMISE(one->text[0] != '\0' && strchr(one->text, '\n') == NULL);
    }
}

static void
check_policy(const struct policy *policy)
{
    PROMISE(policy->plan_count > 0 && policy->fallback_plan != NULL);
    for (size_t p = 0; p < policy->plan_count; p++) {
        const struct plan *plan = &policy->plans[p];

        PROMISE(plan->name.size > 0 && plan->quota_count <= PLAN_QUOTA_LIMIT);
        for (size_t q = 0; q < plan->quota_count; q++) {
            const struct quota *quota = &plan->quotas[q];

            PROMISE(quota->limit >= 0 && quota->step_count < QUOTA_STEP_LIMIT);
            for (size_t s = 0; s < quota->step_count; s++)
                PROMISE(quota->steps[s] > (s == 0 ? 0 : quota->steps[s - 1]) &&
                        quota->steps[s] <= 100);
        }
    }
}

static void
try_config(struct text body)
{
    struct findings findings = {0};
    struct policy *policy;
    struct config *config = config_parse("config/fuzz.yaml", body, &policy, &findings);

    check_findings(&findings, config != NULL);
    PROMISE((policy != NULL) == (config != NULL));
    if (config != NULL) {
        PROMISE(config->kafka.brokers != NULL && config->kafka.topic_count > 0);
        PROMISE(config->postgres.url != NULL && config->kafka.control_topic != NULL);
        check_policy(policy);
    }
    config_free(config);
    policy_free(policy);
    findings_free(&findings);
}

static void
try_policy(struct text body)
{
    struct findings findings = {0};
    struct policy *policy = policy_load("fuzz.yaml", body.at, body.size, &findings);

    check_findings(&findings, policy != NULL);
    if (policy != NULL)
        check_policy(policy);
    policy_free(policy);
    findings_free(&findings);
}

static void
try_contract(struct text body)
{
    struct arena *arena = arena_new(SPEC_SIZE);
    struct tenant_spec spec;
    struct err why = {0};

    PROMISE(arena != NULL);
    if (tenant_spec_parse(body, arena, &spec, &why)) {
        PROMISE(spec.limit_count <= TENANT_LIMIT_LIMIT);
        PROMISE(spec.project_count <= TENANT_PROJECT_LIMIT);
        for (size_t i = 0; i < spec.limit_count; i++)
            PROMISE(spec.limits[i].nano >= 0);
    } else
        PROMISE(why.class != ERR_NONE && why.text[0] != '\0');
    arena_free(arena);
}

static void
try_tree(struct text body)
{
    struct arena *arena = arena_new(TREE_SIZE);
    struct findings findings = {0};

    PROMISE(arena != NULL);
    findings_file(&findings, "fuzz.yaml");
    PROMISE(yaml_parse(body, arena, &findings) != NULL || findings.error_count > 0);
    findings_free(&findings);
    arena_free(arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const struct text body = {(const char *)bytes + 1, size - 1};

    if (size == 0)
        return 0;
    if (bytes[0] == 'c')
        try_config(body);
    else if (bytes[0] == 'p')
        try_policy(body);
    else if (bytes[0] == 't')
        try_contract(body);
    else
        try_tree(body);
    return 0;
}
