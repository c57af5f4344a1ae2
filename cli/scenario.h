/*
 * A scenario: what happens to some tenants, line by line, and what is to come of it, as plain text
 * (docs/scenarios.md is the language by example).
 *
 * A line is a statement: an optional time, a verb, its subjects, then pairs of a name and a value.
 * Which verbs there are and what they take is one table (cli/scenario_verbs.c); the reader knows
 * nothing else, so that a new verb is a row there and its act in cli/scenario_play.c, or its
 * comparison in cli/scenario_expect.c.
 */
#ifndef CLI_SCENARIO_H
#define CLI_SCENARIO_H

#include "config/findings.h"
#include "core/list.h"
#include "core/money.h"
#include "core/zone.h"

#define SCENARIO_SIZE_LIMIT    ((size_t)1 << 20)
#define SCENARIO_SUBJECT_LIMIT 3

enum verb {
    VERB_TIMES_IN,
    VERB_POLICY,
    VERB_TENANT,
    VERB_PROJECT,
    VERB_LIMIT,
    VERB_USE,
    VERB_SETTLE,
    VERB_RESERVE,
    VERB_RELEASE,
    VERB_GAUGE,
    VERB_REFUND,
    VERB_CORRECT,
    VERB_DUPLICATE,
    VERB_TIME_PASSES,
    VERB_RESTART,
    VERB_CRASH,
    VERB_ENFORCE,
    VERB_RECORD,
    VERB_OPERATOR_ALLOWS,
    VERB_OPERATOR_BLOCKS,
    VERB_BREAKER,
    VERB_ANOMALY,
    VERB_EXPECT_NOTHING, /* the first of the expectations */
    VERB_EXPECT_ALERT,
    VERB_EXPECT_DECISION,
    VERB_EXPECT_DEAD,
    VERB_EXPECT_REFUSED,
    VERB_EXPECT_STATUS,
    VERB_EXPECT_BREAKER,
    VERB_EXPECT_CARRY,
    VERB_EXPECT_NOTE,
    VERB_EXPECT_TOTAL
};

enum value_kind {
    VALUE_TEXT,
    VALUE_COUNT,    /* 1_000, 50k */
    VALUE_AMOUNT,   /* that, or a decimal with a sign */
    VALUE_TIME,     /* two words: 2026-03-02 10:00 */
    VALUE_DURATION, /* 2h */
    VALUE_YES       /* yes or no */
};

struct field_row {
    const char *name;
    enum value_kind kind;
    const char *choices; /* "a|b" of a text; NULL: any */
};

struct verb_row {
    const char *name; /* one word or two */
    enum verb verb;
    struct field_row subjects[SCENARIO_SUBJECT_LIMIT]; /* the name says what it is in messages */
    const struct field_row *fields;                    /* the last row's name is NULL; or NULL */
};

/* The last row's name is NULL. */
extern const struct verb_row scenario_verbs[];

struct value {
    const struct field_row *field;
    struct mark at;
    struct text text; /* as written, NUL-terminated */
    int64_t number;   /* count, ms, or 1 for yes */
    tally nano;       /* of an amount, whatever its unit */
};

struct statement {
    const struct verb_row *row;
    struct mark at;
    bool timed;
    int64_t at_ms;           /* of what happens: when */
    const struct zone *zone; /* of the times on this line */
    struct value subjects[SCENARIO_SUBJECT_LIMIT];
    struct value *values;
    size_t value_count;
    const struct policy *policy; /* VERB_POLICY */
};

struct scenario {
    struct arena *arena; /* of everything below */
    const char *file;
    const struct policy *policy; /* the first one */
    struct list statements;      /* struct statement */
    struct list policies;        /* struct policy * */
};

/* NULL when there was any error; findings (zeroed by the caller) then has them all. `policy_file`
 * stands in for the first policy of the scenario; NULL: it has its own. */
struct scenario *scenario_read(const char *file, const char *policy_file,
                               struct findings *findings);
/* The same from bytes; files they name are looked for beside `file`. */
struct scenario *scenario_parse(const char *file, struct text body, const char *policy_file,
                                struct findings *findings);
void scenario_free(struct scenario *scenario);

/* Plays it. Every difference between what is and what is expected is a finding with the place of
 * the expectation. False when there was any. */
bool scenario_play(const struct scenario *scenario, struct findings *differences);

/* NULL when the statement does not have it. */
const struct value *statement_value(const struct statement *statement, const char *field);
struct text statement_text(const struct statement *statement, const char *field);

/* An instant as scenarios write it, in the zone. Returns out. */
#define SCENARIO_TIME_SIZE 40
const char *scenario_time(const struct zone *zone, int64_t at_ms, char out[SCENARIO_TIME_SIZE]);

#endif
