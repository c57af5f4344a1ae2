/*
 * What the words of a configuration mean: numbers, sizes, durations, addresses.
 *
 * Pure functions over texts.  A number's reader gives false for what is no such value; a check of a
 * text gives what it must be ("must be ..."), or NULL when it is that.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "core/money.h"

/* [-]digits, with _ between digits: 1_000 */
bool value_integer(struct text text, int64_t *out);
/* The same with k, M or G (thousands) behind: 50k, 1M */
bool value_count(struct text text, int64_t *out);
/* Bytes: 65536, 64KiB, 64MiB, 4GiB */
bool value_size(struct text text, int64_t *out);
/* 500ms, 15m, 1h30m, 0 */
bool value_duration(struct text text, int64_t *ms);
/* A duration with an optional sign. */
bool value_shift(struct text text, int64_t *ms);
bool value_bool(struct text text, int64_t *out);

/* The index of a text among "one|two|three"; false when it is none of them. */
bool value_choice(struct text text, const char *choices, int64_t *out);
/* The choice nearest to a misspelt text, or absent. */
struct text value_nearest_choice(struct text text, const char *choices);
/* How far a misspelt word of this size may be from what was meant. */
unsigned value_typo_limit(size_t size);

const char *value_check_name(struct text text);       /* an instance or a consumer group */
const char *value_check_topic(struct text text);      /* of Kafka */
const char *value_check_identifier(struct text text); /* of SQL, unquoted */
const char *value_check_word(struct text text);       /* [a-z][a-z0-9_]{0,62}: quotas */
const char *value_check_label(struct text text);      /* the same with '-': plans, receivers */
const char *value_check_currency(struct text text);   /* ISO 4217 */
const char *value_check_broker(struct text text);     /* host:port */
const char *value_check_host(struct text text);
const char *value_check_ip(struct text text);
const char *value_check_email(struct text text);       /* name@domain */
const char *value_check_sender(struct text text);      /* that, or Name <name@domain> */
const char *value_check_url(struct text text);         /* http or https, without user:password@ */
const char *value_check_postgres(struct text text);    /* NUL-terminated */
const char *value_check_signing_key(struct text text); /* whsec_... */

#endif
