/* A configuration from the text of a table's row, and what was found in it. */
#ifndef TESTS_CONFIG_CHECK_H
#define TESTS_CONFIG_CHECK_H

#include "config/config.h"
#include "rules/policy.h"
#include "tests/findings_check.h"

/* The smallest whole file, a line each; the policy is the example in config/. */
#define KAFKA    "kafka: {brokers: [k:9092], topics: [usage]}\n"
#define POSTGRES "postgres: {url: 'postgresql://t@db/usage'}\n"
#define POLICY   "policy: policy.example.yaml\n"
#define MINIMAL  POLICY KAFKA POSTGRES
#define SIGNED   "secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define WEBHOOK  "{url: 'https://h', " SIGNED "}"
/* Somebody is told: no warning. */
#define QUIET                                                                                \
    "alerts: {tenant_alerts: all, engine_alerts: all, receivers: {all: {webhooks: [" WEBHOOK \
    "]}}}\n"
/* Four lines; what a row adds begins in line 5. */
#define BASE MINIMAL QUIET

struct checked {
    struct config *config;
    struct policy *policy;
    struct findings findings;
    char found[FINDINGS_TEXT_SIZE];
};

struct config_row {
    const char *row;
    const char *body;
    const char *found;
};

static inline void
checked_free(struct checked *checked)
{
    config_free(checked->config);
    policy_free(checked->policy);
    findings_free(&checked->findings);
    checked->config = NULL;
    checked->policy = NULL;
}

static inline void
checked_parse(struct checked *checked, const char *body)
{
    checked_free(checked);
    checked->config =
        config_parse("config/test.yaml", text_of(body), &checked->policy, &checked->findings);
    findings_text(&checked->findings, checked->found);
}

static inline void
checked_load(struct checked *checked, const char *path)
{
    checked_free(checked);
    checked->config = config_load(path, &checked->policy, &checked->findings);
    findings_text(&checked->findings, checked->found);
}

static inline void
checked_rows(struct checked *checked, const struct config_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        checked_parse(checked, rows[i].body);
        CHECK_TEXT(rows[i].row, checked->found, rows[i].found);
        CHECK_INT(rows[i].row, checked->config == NULL, checked->findings.error_count > 0);
        CHECK_INT(rows[i].row, checked->policy == NULL, checked->config == NULL);
    }
}
#define CHECK_ROWS(checked, rows) checked_rows((checked), (rows), sizeof(rows) / sizeof(rows)[0])

#endif
