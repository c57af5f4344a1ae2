/*
 * One field of an expectation against what is: a field that the line does not name is as expected, a
 * difference is named where the line names it.
 */
#ifndef CLI_SCENARIO_CHECK_H
#define CLI_SCENARIO_CHECK_H

#include "cli/scenario_player.h"

struct comparison {
    struct player *player;
    const struct statement *statement;
};

void check_text(const struct comparison *comparison, const char *field, struct text actual);
void check_count(const struct comparison *comparison, const char *field, int64_t actual);
void check_yes(const struct comparison *comparison, const char *field, bool actual);
void check_amount(const struct comparison *comparison, const char *field, tally actual,
                  bool is_money);
void check_time(const struct comparison *comparison, const char *field, int64_t actual_ms);

/* `saying`: a part of these words. */
void check_words(const struct comparison *comparison, struct text actual);

/* An incident of a series (cli/scenario_note.c). */
void compare_note(const struct comparison *comparison);
/* A period of a quota that rolls over (cli/scenario_carry.c). */
void compare_carry(const struct comparison *comparison);

#endif
