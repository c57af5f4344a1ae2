#include "cli/replay.h"

#include "cli/columns.h"
#include "cli/scenario_player.h"

#include <inttypes.h>
#include <stdlib.h>

#define BATCH        1000 /* records settled at once: no rule sees where one ends */
#define LINE_LIMIT   1000000
#define LINES_MEMORY ((size_t)1 << 30)

struct line {
    int64_t at_ms;
    struct text text;
};

/* One policy's course. */
struct course {
    struct stage *stage;
    struct arena *memory;
    struct list lines; /* struct line, in order of time, then of being said */
    bool full;         /* more lines than that */
};

struct replay {
    struct course courses[2];
    size_t count;
    size_t unsettled;
    int64_t records;
    int64_t revived; /* events of records that were read again */
    bool quiet;
};

static bool
begin(struct course *course, const struct policy *policy)
{
    course->stage = stage_new(policy);
    course->memory = arena_new(LINES_MEMORY);
    list_init(&course->lines, sizeof(struct line), LINE_LIMIT);
    return course->stage != NULL && course->memory != NULL;
}

struct replay *
replay_new(const struct policy *policy, const struct policy *other)
{
    struct replay *replay = calloc(1, sizeof *replay);

    if (replay == NULL)
        return NULL;
    replay->count = other == NULL ? 1 : 2;
    if (begin(&replay->courses[0], policy) && (other == NULL || begin(&replay->courses[1], other)))
        return replay;
    replay_free(replay);
    return NULL;
}

void
replay_free(struct replay *replay)
{
    for (size_t i = 0; replay != NULL && i < replay->count; i++) {
        stage_free(replay->courses[i].stage);
        arena_free(replay->courses[i].memory);
        list_free(&replay->courses[i].lines);
    }
    free(replay);
}

/* ---- the timeline ------------------------------------------------------------------------------- */

static int64_t
time_of(const struct effect *effect)
{
    switch (effect->kind) {
    case EFFECT_ALERT:
        return effect->alert->at_ms;
    case EFFECT_DECISION:
        return effect->decision->at_ms;
    case EFFECT_DEAD:
        return effect->dead.time_ms;
    case EFFECT_REFUSED:
        break;
    }
    return 0;
}

static void
add_line(struct course *course, int64_t at_ms, const char *text)
{
    struct line *line = list_add(&course->lines);
    size_t at = course->lines.count - 1;

    if (line == NULL) {
        course->full = true;
        return;
    }
    const struct line one = {at_ms, arena_text(course->memory, text_of(text))};

    /* Those of a batch come kind by kind: each moves before what is later. */
    for (; at > 0 && ((struct line *)list_at(&course->lines, at - 1))->at_ms > at_ms; at--)
        *(struct line *)list_at(&course->lines, at) =
            *(struct line *)list_at(&course->lines, at - 1);
    *(struct line *)list_at(&course->lines, at) = one;
}

/* The line begins with the time: what ends with it ("at 2026-03-01 00:00") need not. */
static void
cut_time(char *words)
{
    char *last = NULL;

    for (char *at = strstr(words, " at "); at != NULL; at = strstr(at + 1, " at "))
        last = at;
    if (last != NULL)
        *last = '\0';
}

static void
take_effects(struct course *course, bool quiet)
{
    size_t count = 0;

    stage_settle(course->stage);
    const struct effect *effects = stage_effects(course->stage, &count);

    for (size_t i = 0; i < count && !quiet; i++) {
        char words[EFFECT_TEXT_SIZE];

        expect_words(&effects[i], zone_utc(), words);
        if (effects[i].kind == EFFECT_ALERT || effects[i].kind == EFFECT_DECISION)
            cut_time(words);
        add_line(course,
                 effects[i].kind == EFFECT_REFUSED ? stage_time(course->stage)
                                                   : time_of(&effects[i]),
                 words);
    }
    stage_forget(course->stage);
}

static void
settle(struct replay *replay)
{
    for (size_t i = 0; i < replay->count; i++)
        take_effects(&replay->courses[i], replay->quiet);
    replay->unsettled = 0;
}

void
replay_contract(struct replay *replay, struct text tenant, json_t *contract)
{
    for (size_t i = 0; i < replay->count; i++)
        stage_contract(replay->courses[i].stage, tenant, contract);
}

void
replay_carried(struct replay *replay, const struct carry_memory *memory)
{
    for (size_t i = 0; i < replay->count; i++)
        stage_carried(replay->courses[i].stage, memory);
}

void
replay_policy(struct replay *replay, const struct policy *policy, int64_t at_ms)
{
    struct stage *stage = replay->courses[0].stage;

    /* What waits for a price is what is settled. */
    settle(replay);
    if (at_ms > stage_time(stage))
        stage_advance(stage, at_ms);
    settle(replay);
    stage_policy(stage, policy);
    settle(replay);
}

void
replay_quietly(struct replay *replay)
{
    settle(replay);
    replay->quiet = true;
}

void
replay_record(struct replay *replay, int64_t time_ms, struct text value)
{
    for (size_t i = 0; i < replay->count; i++)
        stage_feed(replay->courses[i].stage, time_ms, value);
    replay->records++;
    if (++replay->unsettled == BATCH)
        settle(replay);
}

void
replay_revive(struct replay *replay, int64_t time_ms, struct text value, int32_t index)
{
    for (size_t i = 0; i < replay->count; i++)
        stage_revive(replay->courses[i].stage, time_ms, value, index);
    replay->revived++;
    if (++replay->unsettled == BATCH)
        settle(replay);
}

static void
print_line(FILE *out, const char *mark, const struct line *line)
{
    char at[CLOCK_TEXT_SIZE];

    fprintf(out, "%s%s  %.*s\n", mark, clock_format(line->at_ms, at), (int)line->text.size,
            line->text.at);
}

static int
compare_lines(const struct line *one, const struct line *other)
{
    return one->at_ms != other->at_ms ? (one->at_ms > other->at_ms) - (one->at_ms < other->at_ms)
                                      : text_compare(one->text, other->text);
}

static int
by_time_and_text(const void *a, const void *b)
{
    return compare_lines(a, b);
}

/* What only the first says has a '-' before it, what only the second says a '+'. */
static void
print_difference(const struct replay *replay, FILE *out)
{
    const struct list *const lists[] = {&replay->courses[0].lines, &replay->courses[1].lines};
    size_t at[2] = {0, 0};
    size_t same = 0;

    for (size_t i = 0; i < 2; i++)
        if (lists[i]->count > 0)
            qsort(lists[i]->at, lists[i]->count, sizeof(struct line), by_time_and_text);
    while (at[0] < lists[0]->count || at[1] < lists[1]->count) {
        const int order = at[0] == lists[0]->count ? 1
                          : at[1] == lists[1]->count
                              ? -1
                              : compare_lines(list_at(lists[0], at[0]), list_at(lists[1], at[1]));

        if (order < 0)
            print_line(out, "- ", list_at(lists[0], at[0]));
        if (order > 0)
            print_line(out, "+ ", list_at(lists[1], at[1]));
        same += order == 0;
        at[0] += order <= 0;
        at[1] += order >= 0;
    }
    fprintf(out, "%zu alerts and decisions are the same under both policies\n", same);
}

/* ---- totals -------------------------------------------------------------------------------------- */

static int
by_tenant(const void *a, const void *b)
{
    const struct period_total *const one = *(const struct period_total *const *)a;
    const struct period_total *const other = *(const struct period_total *const *)b;
    int order = text_compare(one->tenant, other->tenant);

    if (order == 0)
        order = (one->start_ms > other->start_ms) - (one->start_ms < other->start_ms);
    return order != 0 ? order : text_compare(one->project, other->project);
}

static void
add_count(struct columns *columns, int64_t count)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRId64, count);
    columns_add(columns, text);
}

static void
add_total(struct columns *columns, const struct period_total *total)
{
    char text[CLOCK_TEXT_SIZE + TALLY_TEXT_SIZE + EVENT_ID_LIMIT];
    const int64_t *count = total->delta.count;

    (void)text_copy(text, sizeof text, total->tenant);
    columns_add(columns, text);
    (void)text_copy(text, sizeof text, total->project);
    columns_add(columns, text);
    columns_add(columns, clock_format(total->start_ms, text));
    add_count(columns, count[COUNT_events]);
    add_count(columns, count[COUNT_requests]);
    add_count(columns, count[COUNT_input_tokens] + count[COUNT_output_tokens]);
    columns_add(columns, tally_format_money(total->delta.cost, text));
    columns_add(columns, tally_format_money(total->delta.charge, text));
}

static bool
print_totals(const struct stage *stage, FILE *out)
{
    static const char *const titles[] = {"TENANT",  "PROJECT",   "PERIOD FROM",
                                         ">EVENTS", ">REQUESTS", ">TOKENS",
                                         ">COST",   ">CHARGE",   NULL};
    size_t count;
    const struct period_total *totals = stage_totals(stage, &count);
    const void **order = calloc(count + 1, sizeof(const void *));
    struct columns *columns = columns_new(titles);
    const bool good = order != NULL && columns != NULL;

    for (size_t i = 0; good && i < count; i++)
        order[i] = &totals[i];
    if (good && count > 0)
        qsort(order, count, sizeof(const void *), by_tenant);
    for (size_t i = 0; good && i < count; i++)
        add_total(columns, order[i]);
    if (good && count > 0) {
        fputs("\n", out);
        columns_print(columns, out);
    }
    columns_free(columns);
    free(order);
    return good;
}

const struct period_total *
replay_totals(const struct replay *replay, size_t *count)
{
    return stage_totals(replay->courses[0].stage, count);
}

const struct carry_memory *
replay_carry(const struct replay *replay, struct text tenant, struct text quota,
             struct text project, int64_t at_ms)
{
    bool final;

    return stage_carry(replay->courses[0].stage, tenant, quota, project, at_ms, &final);
}

bool
replay_print(struct replay *replay, FILE *out, struct err *why)
{
    const struct list *lines = &replay->courses[0].lines;

    settle(replay);
    for (size_t i = 0; i < replay->count; i++) {
        if (stage_fault(replay->courses[i].stage) != NULL)
            return err_set(why, ERR_INPUT, "%s", stage_fault(replay->courses[i].stage));
        if (replay->courses[i].full)
            return err_set(why, ERR_INPUT,
                           "more than 1,000,000 alerts and decisions: choose a "
                           "shorter range");
    }
    for (size_t i = 0; replay->count == 1 && i < lines->count; i++)
        print_line(out, "", list_at(lines, i));
    if (replay->count == 2)
        print_difference(replay, out);
    if (!print_totals(replay->courses[0].stage, out))
        return err_set(why, ERR_FATAL, "out of memory");
    fprintf(out, "%" PRId64 " records", replay->records);
    if (replay->revived > 0)
        fprintf(out, ", and %" PRId64 " dead letters that were read again", replay->revived);
    fputs("\n", out);
    return true;
}
