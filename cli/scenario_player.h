/* The playing of a scenario under way: cli/scenario_play.c lets things happen,
 * cli/scenario_expect.c compares what came of them. */
#ifndef CLI_SCENARIO_PLAYER_H
#define CLI_SCENARIO_PLAYER_H

#include "cli/scenario.h"
#include "cli/stage.h"

struct player {
    struct stage *stage;
    struct findings *differences;
    const struct statement *step; /* the last thing that happened; NULL: none */
    size_t first_record;          /* of the last event */
};

/* What an operator says of an anomaly (cli/scenario_note.c). */
void play_answer(struct stage *stage, const struct statement *statement);

#define EFFECT_TEXT_SIZE 1024
/* An effect in the words of the line that would expect it, times in the zone. */
void expect_words(const struct effect *effect, const struct zone *zone, char out[EFFECT_TEXT_SIZE]);
/* Compares one expectation. */
void expect_statement(struct player *player, const struct statement *statement);
/* Whatever came of the last step and was not expected is a difference; then it is forgotten. */
void expect_no_more(struct player *player);

#endif
