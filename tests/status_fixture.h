/* An engine for the status page to show: one where all is well, and one where nothing is. */
#ifndef TESTS_STATUS_FIXTURE_H
#define TESTS_STATUS_FIXTURE_H

#include "sinks/status.h"

#include <jansson.h>

/* 2026-03-17T14:05:09Z */
#define FIXTURE_NOW_MS INT64_C(1773756309000)

/* Names as nobody sane would choose them. */
#define HOSTILE_TENANT "<script>alert('x')</script>&\""

extern const struct status_source fixture_calm;
extern const struct status_source fixture_trouble;

/* What Postgres would say for each. */
json_t *fixture_database_calm(void);
json_t *fixture_database_trouble(void);

#endif
