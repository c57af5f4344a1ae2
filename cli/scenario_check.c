/* One field of an expectation against what is. */
#include "cli/scenario_check.h"

#include <inttypes.h>
#include <stdio.h>

static void
differs(const struct comparison *comparison, const struct value *value, const char *actual)
{
    (void)finding_error(comparison->player->differences, value->at, "%s is %s, expected %s",
                        value->field->name, actual, value->text.at);
}

void
check_text(const struct comparison *comparison, const char *field, struct text actual)
{
    const struct value *value = statement_value(comparison->statement, field);
    char text[EFFECT_TEXT_SIZE];

    if (value == NULL || text_eq(value->text, actual))
        return;
    (void)text_copy(text, sizeof text, actual.size == 0 ? TEXT("nothing") : actual);
    differs(comparison, value, text);
}

void
check_count(const struct comparison *comparison, const char *field, int64_t actual)
{
    const struct value *value = statement_value(comparison->statement, field);
    char text[32];

    if (value == NULL || value->number == actual)
        return;
    (void)snprintf(text, sizeof text, "%" PRId64, actual);
    differs(comparison, value, text);
}

void
check_yes(const struct comparison *comparison, const char *field, bool actual)
{
    const struct value *value = statement_value(comparison->statement, field);

    if (value != NULL && value->number != actual)
        differs(comparison, value, actual ? "yes" : "no");
}

void
check_amount(const struct comparison *comparison, const char *field, tally actual, bool is_money)
{
    const struct value *value = statement_value(comparison->statement, field);
    char text[TALLY_TEXT_SIZE];

    if (value == NULL || value->nano == (is_money ? actual : actual * MONEY_NANO_PER_UNIT))
        return;
    differs(comparison, value,
            is_money ? tally_format_short(actual, 2, text) : tally_format_count(actual, text));
}

void
check_time(const struct comparison *comparison, const char *field, int64_t actual_ms)
{
    const struct value *value = statement_value(comparison->statement, field);
    char actual[SCENARIO_TIME_SIZE];
    char expected[SCENARIO_TIME_SIZE];

    if (value == NULL || value->number == actual_ms)
        return;
    (void)finding_error(comparison->player->differences, value->at, "%s is %s, expected %s", field,
                        actual_ms == INT64_MAX
                            ? "never"
                            : scenario_time(comparison->statement->zone, actual_ms, actual),
                        value->number == INT64_MAX
                            ? "never"
                            : scenario_time(comparison->statement->zone, value->number, expected));
}

void
check_words(const struct comparison *comparison, struct text actual)
{
    const struct value *part = statement_value(comparison->statement, "saying");
    char words[EFFECT_TEXT_SIZE];

    (void)text_copy(words, sizeof words, actual);
    if (part != NULL && strstr(words, part->text.at) == NULL)
        (void)finding_error(comparison->player->differences, part->at, "it says \"%s\"", words);
}
