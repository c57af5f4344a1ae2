/*
 * Columns of Postgres's results in binary format.
 */
#ifndef SINKS_PGREAD_H
#define SINKS_PGREAD_H

#include "core/money.h"
#include <libpq-fe.h>

/* Postgres counts time in microseconds from 2000-01-01. */
#define PG_EPOCH_MS INT64_C(946684800000)
/* Digits of a NUMERIC, and its sign when negative. */
#define NUMERIC_BASE     10000
#define NUMERIC_NEGATIVE 0x4000

bool pg_read_bool(const PGresult *result, int row, int column);
int64_t pg_read_int(const PGresult *result, int row, int column); /* int2, int4, int8; NULL is 0 */
/* Points into the result; absent when NULL. */
struct text pg_read_text(const PGresult *result, int row, int column);
/* ms since 1970; NULL is 0, infinity INT64_MAX. */
int64_t pg_read_time(const PGresult *result, int row, int column);
/* NUMERIC with at most 9 decimals to nano-units; false when it has more or does not fit. */
bool pg_read_money(const PGresult *result, int row, int column, tally *nano);

#endif
