/*
 * What the tests of alert delivery share: a fresh database with the schema, a configuration with
 * the receivers engineering and billing, and transitions as a settlement writes them.
 */
#ifndef TESTS_ALERTS_ENV_H
#define TESTS_ALERTS_ENV_H

#include "tests/store_db.h"

struct alerts_env {
    struct db database;
    struct endpoint endpoints[2][2]; /* engineering, billing: webhook, e-mail */
    struct config config;
};

void alerts_env_open(struct alerts_env *env);
void alerts_env_close(struct alerts_env *env);

/* One value of one row; "" when there is none. Valid until the next call. */
const char *alerts_env_ask(struct alerts_env *env, const char *sql);
void alerts_env_do(struct alerts_env *env, const char *sql);

struct told_transition {
    const char *tenant;
    const char *move; /* fire, step, resolve */
    const char *severity;
    int step;
    bool restricts;
    const char *reason; /* with resolve */
    int minute;         /* shard time: minutes after 2026-03-14T08:00:00Z */
};
/* Of rule quota/api_calls, 500 requests a percent, limit 50,000: counters, episode and transition as
 * a settlement writes them. */
void alerts_env_tell(struct alerts_env *env, const struct told_transition *told);
/* The same, at minute 0 and without a restriction. */
void alerts_env_step(struct alerts_env *env, const char *tenant, const char *move,
                     const char *severity, int step);

#endif
