#include "tests/config_check.h"

struct checked checked;

void
checked_free(struct checked *into)
{
    config_free(into->config);
    policy_free(into->policy);
    findings_free(&into->findings);
    into->config = NULL;
    into->policy = NULL;
}

int
checked_forget(void)
{
    checked_free(&checked);
    return 0;
}

void
checked_parse(struct checked *into, const char *body)
{
    checked_free(into);
    into->config = config_parse("config/test.yaml", text_of(body), &into->policy, &into->findings);
    findings_text(&into->findings, into->found);
}

void
checked_load(struct checked *into, const char *path)
{
    checked_free(into);
    into->config = config_load(path, &into->policy, &into->findings);
    findings_text(&into->findings, into->found);
}

void
checked_policy_at(const char *path, const char *body)
{
    const bool force = checked.findings.force;

    checked_free(&checked);
    checked.findings.force = force;
    checked.policy = policy_load(path, body, strlen(body), &checked.findings);
    findings_text(&checked.findings, checked.found);
}

void
checked_policy(const char *body)
{
    checked_policy_at("policy.yaml", body);
}

void
checked_rows(const struct config_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        checked_parse(&checked, rows[i].body);
        CHECK_TEXT(rows[i].row, checked.found, rows[i].found);
        CHECK_INT(rows[i].row, checked.config == NULL, checked.findings.error_count > 0);
        CHECK_INT(rows[i].row, checked.policy == NULL, checked.config == NULL);
    }
}

void
checked_policy_rows(const struct config_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        checked_policy(rows[i].body);
        CHECK_TEXT(rows[i].row, checked.found, rows[i].found);
        CHECK_INT(rows[i].row, checked.policy == NULL, checked.findings.error_count > 0);
    }
}
