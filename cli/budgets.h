/*
 * `check --budgets`: what the tenants stored in Postgres have given to their projects, beside what each
 * has itself under the policy of the file.
 */
#ifndef CLI_BUDGETS_H
#define CLI_BUDGETS_H

#include "cli/session.h"

/* Prints a line for every quota that a tenant divides. *over: how many of them give away more than
 * there is, although the policy refuses that. */
bool budgets_check(struct session *session, size_t *over, struct err *why);

#endif
