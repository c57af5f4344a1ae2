#include "cli/scenario_check.h"

#include <math.h>

/* To the fourth decimal: values are single precision. */
static tally
rounded(float value)
{
    return (tally)llround((double)value * 1e4) * (MONEY_NANO_PER_UNIT / 10000);
}

static enum watch_metric
metric_of(struct text name)
{
    int metric = 0;

    while (metric < WATCH_METRIC_COUNT && !text_eq(name, text_of(watch_metric_names[metric])))
        metric++;
    return (enum watch_metric)metric;
}

void
compare_note(const struct comparison *comparison)
{
    const struct statement *statement = comparison->statement;
    const struct anomaly_note *note =
        stage_note(comparison->player->stage, statement->subjects[0].text,
                   statement_text(statement, "feature"), metric_of(statement->subjects[1].text));

    if (note == NULL) {
        (void)finding_error(comparison->player->differences, statement->subjects[1].at,
                            "no record of it was broken");
        return;
    }
    check_text(comparison, "tier", text_of(watch_tier_names[note->tier]));
    check_time(comparison, "since", note->since_ms);
    check_count(comparison, "records", note->records);
    check_amount(comparison, "value", rounded(note->value), true);
    check_amount(comparison, "usual", rounded(note->usual), true);
    check_text(comparison, "folded", note->folded);
    check_yes(comparison, "over", note->over);
    check_words(comparison, note->words);
}

void
play_answer(struct stage *stage, const struct statement *statement)
{
    const struct text feature = statement_text(statement, "feature");
    struct command command = {.kind = COMMAND_ANOMALY,
                              .tenant = statement->subjects[0].text,
                              .anomaly = {.feature = feature.at == NULL ? TEXT("") : feature,
                                          .metric = metric_of(statement->subjects[1].text)},
                              .actor = TEXT("operator"),
                              .reason = TEXT("scenario")};

    if (watch_answer_by_name(statement->subjects[2].text, &command.anomaly.answer))
        stage_answer(stage, &command);
}
