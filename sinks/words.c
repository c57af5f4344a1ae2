/* The words and numbers that mail and webhook share. */
#include "sinks/message.h"

#include <inttypes.h>
#include <stdio.h>

const char *const message_kind_names[MESSAGE_KIND_COUNT] = {
    [MESSAGE_FIRING] = "firing",
    [MESSAGE_RESOLVED] = "resolved",
    [MESSAGE_MISSED] = "missed",
};

static const char *const resolved_words[RESOLVED_COUNT] = {
    [RESOLVED_NOT] = "",
    [RESOLVED_CLEARED] = "the cause is gone",
    [RESOLVED_PERIOD_ROLLOVER] = "a new period began",
    [RESOLVED_LIMIT_RAISED] = "the limit was raised",
    [RESOLVED_TOPPED_UP] = "the balance was topped up",
    [RESOLVED_RULE_REMOVED] = "the rule was removed",
    [RESOLVED_OPERATOR] = "an operator closed it",
    [RESOLVED_BREAKER_CLOSED] = "the breaker closed",
};

const char *
words_resolved(enum resolved reason)
{
    return resolved_words[reason];
}

/* "1234567" to "1,234,567", in place; room is there for the commas. */
static void
group_digits(char *digits)
{
    const size_t size = strlen(digits);
    const size_t commas = (size - 1) / 3;
    size_t to = size + commas;

    digits[to] = '\0';
    for (size_t i = 0; i < size; i++) {
        if (i > 0 && i % 3 == 0)
            digits[--to] = ',';
        digits[--to] = digits[size - 1 - i];
    }
}

const char *
words_amount(tally amount, bool is_money, char out[AMOUNT_SIZE])
{
    char exact[TALLY_TEXT_SIZE];
    char whole[2 * TALLY_TEXT_SIZE] = "";
    const char *fraction = "";
    size_t size;

    if (is_money)
        (void)tally_format_money(amount, exact);
    else
        (void)tally_format_count(amount, exact);
    const bool negative = exact[0] == '-';
    const char *point = strchr(exact, '.');

    size = point == NULL ? strlen(exact) : (size_t)(point - exact);
    (void)text_copy(whole, TALLY_TEXT_SIZE, (struct text){exact + negative, size - negative});
    group_digits(whole);
    /* Cents are enough for people, but a tenth of a cent is not nothing. */
    if (point != NULL) {
        const tally size_of_it = amount < 0 ? -amount : amount;

        (void)tally_format_short(amount, 2, exact);
        fraction = strchr(exact, '.');
        if (size_of_it >= MONEY_NANO_PER_UNIT / 100)
            exact[(size_t)(fraction - exact) + 3] = '\0';
    }
    (void)snprintf(out, AMOUNT_SIZE, "%s%s%s", negative ? "-" : "", whole, fraction);
    return out;
}

struct text
words_rule_kind(struct text rule)
{
    const char *slash = rule.size == 0 ? NULL : memchr(rule.at, '/', rule.size);

    return slash == NULL ? rule : (struct text){rule.at, (size_t)(slash - rule.at)};
}

struct text
words_rule_name(struct text rule)
{
    const struct text kind = words_rule_kind(rule);

    return kind.size == rule.size
               ? rule
               : (struct text){rule.at + kind.size + 1, rule.size - kind.size - 1};
}

const char *
words_who(const struct transition *transition, char out[WHO_SIZE])
{
    static const enum label parts[] = {LABEL_PROJECT, LABEL_FEATURE, LABEL_API_KEY_ID, LABEL_IP};
    struct writer who = writer_new(WHO_SIZE);

    writer_text(&who, transition->labels[LABEL_TENANT].at == NULL
                          ? TEXT("tripmeter")
                          : transition->labels[LABEL_TENANT]);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (transition->labels[parts[i]].at != NULL) {
            writer_string(&who, " / ");
            writer_text(&who, transition->labels[parts[i]]);
        }
    (void)text_copy(out, WHO_SIZE, (struct text){writer_get(&who), who.size});
    writer_free(&who);
    return out;
}

int64_t
words_percent(const struct transition *transition)
{
    if (transition->threshold <= 0)
        return 100;
    const tally percent = transition->value * 100 / transition->threshold;

    return percent > INT64_C(1000000) ? INT64_C(1000000) : (int64_t)percent;
}

bool
words_unlimited(const struct transition *transition)
{
    return transition->step_amount > 0 && transition->threshold == transition->step_amount;
}

void
words_usage(struct writer *to, const struct transition *transition)
{
    char amount[AMOUNT_SIZE];

    writer_format(to, "%s ", words_amount(transition->value, transition->is_money, amount));
    if (!words_unlimited(transition))
        writer_format(to, "of %s ",
                      words_amount(transition->threshold, transition->is_money, amount));
    words_unit(to, transition->unit);
}

void
words_unit(struct writer *to, struct text unit)
{
    for (size_t i = 0; i < unit.size; i++)
        writer_add(to, unit.at[i] == '_' ? " " : unit.at + i, 1);
}

bool
words_is(const struct transition *transition, const char *kind)
{
    return text_eq(words_rule_kind(transition->rule), text_of(kind));
}

/* "acme uses up tokens too fast: 151 of 150 tokens today (1.5 times the share of a day)";
 * "acme is going to use 12,480 of 3,000 tokens of ai_tokens by the end of the period" */
static void
write_pace(struct writer *to, const struct transition *transition, const char *who)
{
    if (words_is(transition, "pacing")) {
        writer_format(to, "%s uses up ", who);
        writer_text(to, words_rule_name(transition->rule));
        writer_string(to, " too fast: ");
        words_usage(to, transition);
        writer_string(to, " today (1.5 times the share of a day)");
    } else {
        writer_format(to, "%s is going to use ", who);
        words_usage(to, transition);
        writer_string(to, " of ");
        writer_text(to, words_rule_name(transition->rule));
        writer_string(to, " by the end of the period");
    }
}

/* "acme has reached 120.00 USD of spend: 121.31 of 200.00 USD" */
static void
write_amount(struct writer *to, const struct transition *transition, const char *who)
{
    char step[AMOUNT_SIZE];

    writer_format(to, "%s has reached %s ", who,
                  words_amount(transition->step_amount, transition->is_money, step));
    words_unit(to, transition->unit);
    writer_string(to, " of ");
    writer_text(to, words_rule_name(transition->rule));
    writer_string(to, ": ");
    words_usage(to, transition);
}

static void
write_firing(struct writer *to, const struct transition *transition, const char *who)
{
    const struct text name = words_rule_name(transition->rule);

    if (words_is(transition, "pacing") || words_is(transition, "forecast")) {
        write_pace(to, transition, who);
        return;
    }
    if (!transition->has_value) {
        writer_format(to, "%s: ", who);
        writer_text(to, name);
        return;
    }
    if (transition->step_amount > 0 && !transition->restricts) {
        write_amount(to, transition, who);
        return;
    }
    if (transition->restricts)
        writer_format(to, "%s is BLOCKED: it has used up ", who);
    else
        writer_format(to, "%s has used %" PRId64 " %% of ", who, words_percent(transition));
    writer_text(to, name);
    writer_string(to, transition->restricts ? ", " : ": ");
    words_usage(to, transition);
}

static void
write_over(struct writer *to, const struct alert_view *view, const char *who)
{
    const struct transition *transition = &view->transition;
    const char *because = words_resolved(transition->reason);
    char lasted[CLOCK_TEXT_SIZE];
    const int64_t seconds = (transition->at_ms - view->since_ms) / CLOCK_SECOND_MS;

    if (view->kind == MESSAGE_MISSED) {
        (void)clock_format_duration(seconds * CLOCK_SECOND_MS, lasted);
        writer_format(to, "%s had an alert for %s%s, which could not be delivered at the time; ",
                      who, lasted, view->restricted ? " and was BLOCKED" : "");
        writer_format(to, "it is over: %s", because);
    } else if (view->restricted) {
        writer_format(to, "%s is allowed again: %s", who, because);
    } else {
        writer_format(to, "%s: ", who);
        writer_text(to, words_rule_name(transition->rule));
        writer_format(to, " is back to normal: %s", because);
    }
}

const char *
message_summary(const struct alert_view *view, char out[SUMMARY_SIZE])
{
    struct writer line = writer_new(4 * (size_t)SUMMARY_SIZE);

    const struct transition *transition = &view->transition;
    char who[WHO_SIZE];

    (void)words_who(transition, who);
    if (transition->summary.size > 0) { /* the rule's own words say what fired */
        if (view->kind != MESSAGE_FIRING)
            writer_format(&line, "Over (%s): ", words_resolved(transition->reason));
        if (transition->labels[LABEL_TENANT].at != NULL)
            writer_format(&line, "%s: ", who);
        writer_text(&line, transition->summary);
    } else if (view->kind == MESSAGE_FIRING) {
        write_firing(&line, transition, who);
    } else {
        write_over(&line, view, who);
    }
    (void)text_copy(out, SUMMARY_SIZE, (struct text){writer_get(&line), line.size});
    writer_free(&line);
    return out;
}
