/*
 * `check --diff`: what the policy of the file would open and close for the tenants that are stored in
 * Postgres, before it is loaded.
 */
#ifndef CLI_DIFF_H
#define CLI_DIFF_H

#include "cli/session.h"

/* Compares with the policy in force and prints what would change. *changes: how many there are. */
bool diff_check(struct session *session, size_t *changes, struct err *why);

#endif
