/* A configuration, or a policy alone, from the text of a table's row, and what was found in it. */
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

/* Of the suite that runs, whose pCleanupFunc is checked_forget. */
extern struct checked checked;
int checked_forget(void);

/* What was there before is freed first. */
void checked_parse(struct checked *into, const char *body);
void checked_load(struct checked *into, const char *path);
void checked_free(struct checked *into);
/* A policy alone; `path` names it in what is found, and what it names is looked for beside it.
 * checked.findings.force stays as it was. */
void checked_policy_at(const char *path, const char *body);
void checked_policy(const char *body);

/* Of each row is found what it says, and what was asked for is there unless that is an error. */
void checked_rows(const struct config_row *rows, size_t count);
void checked_policy_rows(const struct config_row *rows, size_t count);
#define CHECK_ROWS(rows)        checked_rows((rows), sizeof(rows) / sizeof(rows)[0])
#define CHECK_POLICY_ROWS(rows) checked_policy_rows((rows), sizeof(rows) / sizeof(rows)[0])

#endif
