/*
 * The breaker on real traffic, with nothing but core/: for each series of requests per 10 minutes on
 * standard input, how often each kind of baseline would have cut it, and what becomes of planted
 * runaways.
 *
 *   breaker_evaluate PRICE < series
 *
 * A line of input is a series: its name, then the requests of each 10 minutes.  A row is spent in ten
 * equal parts, a minute apart.  A line of output is a series and a baseline:
 *   name option cuts_in_the_last_week warnings then for each factor: planted watched soon found minutes past
 * where watched is how many met a breaker that was closed, soon is how many were cut within 20 minutes, found within the hour, minutes is the sum over
 * these, and past the sum of what was spent above
 * three baselines until the cut, in baselines.
 */
#include "core/baseline.h"
#include "core/breaker.h"
#include "core/slots.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ROWS_LIMIT = 4032, /* four weeks */
    ROW_MINUTES = 10,
    WEEK_ROWS = 7 * 24 * 6,
    RUNAWAY_MINUTES = 60, /* a planted one lasts so long */
    PLACES = 5,
    FACTORS = 3,
    SOON_MINUTES = 20
};

/* More than anything here spends, and safe to be multiplied by a hundred. */
#define NEVER ((tally)INT64_MAX * 1000000)

static const int factors[FACTORS] = {4, 10, 20};

/* What a baseline may be made of. */
enum option { OPTION_MEDIANS, OPTION_HIGH, OPTION_ENFORCED, OPTION_SHADOW, OPTION_BUDGET, OPTIONS };
static const char *const option_names[OPTIONS] = {"medians", "high", "enforced", "shadow",
                                                  "budget"};

struct series {
    char name[64];
    double requests[ROWS_LIMIT];
    size_t count;
};

struct outcome {
    int cuts;
    int warnings;
    int64_t found_ms; /* of the first cut at or after the planted start; -1: none */
    tally past;       /* spent above 3 B from the planted start to the cut */
    tally baseline;   /* then */
    bool watched;     /* the breaker was closed at the planted start */
};

struct run {
    const struct series *series;
    enum option option;
    tally price; /* of a request */
    tally budget;
    size_t start; /* row of the planted runaway; SIZE_MAX: none */
    tally extra;  /* nano-units it spends a minute more */
    struct slots slots;
    struct history history;
    struct hour hour;
    struct baseline baseline;
    tally before;
    tally accepted;            /* the least baseline ... */
    int64_t accepted_until_ms; /* ... until then */
    struct breaker breaker;
};

static tally
value_of(const struct run *run, const struct baseline *baseline)
{
    if (!baseline->known)
        return 0;
    if (run->option == OPTION_MEDIANS)
        return baseline->typical;
    if (run->option == OPTION_HIGH)
        return baseline->high > MONEY_NANO_PER_UNIT ? baseline->high : MONEY_NANO_PER_UNIT;
    return baseline->value;
}

static void
turn(struct run *run, int64_t now_ms)
{
    const struct baseline_rule rule = {.floor = MONEY_NANO_PER_UNIT,
                                       .configured = run->option == OPTION_BUDGET,
                                       .budget = run->budget};

    if (now_ms < run->hour.end_ms)
        return;
    run->before = value_of(run, &run->baseline);
    run->hour = baseline_hour(zone_utc(), now_ms);
    baseline_of(&run->history, zone_utc(), run->hour.start_ms, &rule, &run->baseline);
    if (run->baseline.known && now_ms < run->accepted_until_ms &&
        run->baseline.value < run->accepted)
        run->baseline.value = run->baseline.typical = run->baseline.high = run->accepted;
}

static struct breaker_view
view_of(const struct run *run, int64_t now_ms)
{
    const tally now = value_of(run, &run->baseline);
    const tally both = run->before > now ? run->before : now;
    const struct slots_spend window = slots_judged(&run->slots, SLOTS_ALL);
    struct breaker_view view = {
        .now_ms = now_ms,
        .open_ms = BREAKER_OPEN_MS,
        .enforce = run->option != OPTION_SHADOW,
        .known = now > 0,
        .baseline = now,
        .hour = slots_judged(&run->slots, run->hour.start_ms).cost,
        .hour_limit = NEVER,
        .hour_warn = NEVER,
        .window = window.cost,
        .window_limit = NEVER,
        .window_warn = NEVER,
        .calls = window.calls,
        .least_calls = 20,
    };

    if (now == 0)
        return view;
    view.hour_limit = now * BASELINE_RATIO;
    view.window_limit = both * BASELINE_RATIO;
    view.hour_warn = now * 2;
    view.window_warn = both * 2;
    return view;
}

static void
taint(struct run *run)
{
    struct hour_sample *sample = history_find(&run->history, run->hour.start_ms);

    if (sample != NULL && breaker_taints(&run->breaker)) {
        sample->flags |= HOUR_TRIPPED;
        sample->baseline = run->breaker.baseline;
    }
}

static void
found(const struct run *run, int64_t now_ms, struct outcome *out)
{
    if (out->found_ms >= 0)
        return;
    out->found_ms = now_ms;
    out->baseline = run->breaker.baseline;
    out->past = run->breaker.observed - run->breaker.baseline * BASELINE_RATIO;
}

/* The third cut of a day waits for an operator, who finds that the client means it. */
static void
accept(struct run *run, int64_t now_ms, const struct breaker_view *view)
{
    /* A budget stands as it is. */
    run->accepted = run->option == OPTION_BUDGET ? 0 : run->breaker.observed;
    run->accepted_until_ms = now_ms + 7 * CLOCK_DAY_MS;
    for (size_t i = 0; i < run->history.count; i++)
        if (run->history.at[i].hour_ms >= now_ms - 7 * CLOCK_DAY_MS)
            run->history.at[i].flags |= HOUR_ACCEPTED;
    (void)breaker_say(&run->breaker, BREAKER_WORD_ACCEPT, INT64_MAX, view);
    slots_forgive(&run->slots);
    run->hour.end_ms = now_ms;
}

/* What a cut feature spends nobody sees: the gateway answers itself. */
static void
spend(struct run *run, int64_t now_ms, tally calls, tally cost, struct outcome *out)
{
    bool throttles;
    bool failed;
    const bool restricted = breaker_restricts(&run->breaker, &throttles);
    struct hour_sample *sample = history_at(&run->history, run->hour.start_ms, &failed);
    const int32_t alarm = run->breaker.alarm;
    const enum breaker_state state = run->breaker.state;
    const int64_t would = run->breaker.would_ms;

    if (failed || sample == NULL)
        abort();
    if (restricted || cost == 0)
        return;
    struct slot *slot = slots_at(&run->slots, now_ms);

    slot->cost += cost;
    slot->judged += cost;
    slot->judged_calls += calls;
    sample->cost += cost;
    struct breaker_view view = view_of(run, now_ms);

    view.event = true;
    view.spent = cost;
    if (breaker_judge(&run->breaker, &view))
        slots_forgive(&run->slots);
    out->warnings += alarm == 0 && run->breaker.alarm == BREAKER_ALARM_WARN;
    if (run->breaker.state != state &&
        (run->breaker.state == BREAKER_OPEN || run->breaker.state == BREAKER_LATCHED)) {
        /* A probe that fails goes on with the same cut. */
        out->cuts += state == BREAKER_CLOSED;
        found(run, now_ms, out);
        if (run->breaker.state == BREAKER_LATCHED)
            accept(run, now_ms, &view);
    }
    if (would == INT64_MAX && run->breaker.would_ms != INT64_MAX) {
        out->cuts++;
        found(run, now_ms, out);
    }
    taint(run);
}

static void
deadlines(struct run *run, int64_t now_ms)
{
    while (breaker_due(&run->breaker) <= now_ms) {
        const struct breaker_view view = view_of(run, breaker_due(&run->breaker));

        if (breaker_judge(&run->breaker, &view))
            slots_forgive(&run->slots);
    }
}

/* Plays the series; cuts and warnings are counted from row `from` on. */
static struct outcome
play(struct run *run, size_t from, size_t until)
{
    struct outcome out = {.found_ms = -1};
    const int64_t monday_ms = INT64_C(1767571200000); /* the traces name no date */

    slots_init(&run->slots);
    breaker_init(&run->breaker);
    for (size_t row = 0; row < until; row++) {
        struct outcome *counted = row >= from ? &out : &(struct outcome){.found_ms = -1};

        for (int minute = 0; minute < ROW_MINUTES; minute++) {
            const int64_t now_ms =
                monday_ms + ((int64_t)row * ROW_MINUTES + minute) * CLOCK_MINUTE_MS;
            const double calls = run->series->requests[row] / ROW_MINUTES;
            const bool planted = run->start != SIZE_MAX && row >= run->start &&
                                 row < run->start + RUNAWAY_MINUTES / ROW_MINUTES;
            const tally extra = planted ? run->extra : 0;
            const tally cost = (tally)(calls * (double)run->price) + extra;

            slots_advance(&run->slots, now_ms);
            turn(run, now_ms);
            deadlines(run, now_ms);
            if (row == from && minute == 0)
                out.watched = breaker_rests(&run->breaker) && value_of(run, &run->baseline) > 0;
            spend(run, now_ms, cost / run->price, cost, counted);
        }
    }
    history_free(&run->history);
    return out;
}

/* ---- one series ------------------------------------------------------------------------------------ */

static int
compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The 95th percentile of the hours of the first week in which anything was spent. */
static double
high_hour(const struct series *series)
{
    double hours[WEEK_ROWS / 6];
    size_t count = 0;

    for (size_t row = 0; row + 6 <= WEEK_ROWS && row + 6 <= series->count; row += 6) {
        double sum = 0;

        for (size_t i = 0; i < 6; i++)
            sum += series->requests[row + i];
        if (sum > 0)
            hours[count++] = sum;
    }
    if (count == 0)
        return 0;
    qsort(hours, count, sizeof hours[0], compare_doubles);
    return hours[(count * 95 + 99) / 100 - 1];
}

static void
plant(const struct series *series, enum option option, tally price, int factor)
{
    const double high = high_hour(series);
    int found = 0;
    int soon = 0;
    int planted = 0;
    int watched = 0;
    int64_t minutes = 0;
    double past = 0;

    for (size_t place = 0; place < PLACES; place++) {
        const size_t start = WEEK_ROWS + (size_t)(place * 37 + 11) * 6 % (WEEK_ROWS - 12);
        struct run run = {.series = series,
                          .option = option,
                          .price = price,
                          .budget = (tally)(high * (double)price),
                          .start = start,
                          .extra = (tally)(high * factor / 60 * (double)price)};

        if (start + 12 > series->count)
            continue;
        /* From the start to the end of the runaway: a cut before it is none of its. */
        const struct outcome out = play(&run, start, start + RUNAWAY_MINUTES / ROW_MINUTES);
        const int64_t start_ms =
            INT64_C(1767571200000) + (int64_t)start * ROW_MINUTES * CLOCK_MINUTE_MS;

        planted++;
        watched += out.watched;
        if (out.found_ms < 0 || !out.watched)
            continue;
        found++;
        const int64_t after = (out.found_ms - start_ms) / CLOCK_MINUTE_MS + 1;

        soon += after <= SOON_MINUTES;
        minutes += after;
        past += (double)out.past / (double)out.baseline;
    }
    printf(" %d %d %d %d %lld %.3f", planted, watched, soon, found, (long long)minutes, past);
}

static void
evaluate(const struct series *series, tally price)
{
    for (enum option option = 0; option < OPTIONS; option++) {
        struct run run = {.series = series,
                          .option = option,
                          .price = price,
                          .budget = (tally)(high_hour(series) * (double)price),
                          .start = SIZE_MAX};
        const struct outcome out = play(&run, WEEK_ROWS, series->count);

        printf("%s %s %d %d", series->name, option_names[option], out.cuts, out.warnings);
        for (size_t i = 0; i < FACTORS; i++)
            plant(series, option, price, factors[i]);
        puts("");
    }
}

int
main(int argc, char **argv)
{
    static struct series series;
    static char line[1 << 20];
    struct money price;
    struct err why;

    if (argc != 2 || !money_parse(text_of(argv[1]), &price, &why) || price.nano <= 0) {
        fputs("usage: breaker_evaluate PRICE < series\n", stderr);
        return 2;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *at = line;
        int used = 0;

        if (sscanf(at, "%63s%n", series.name, &used) != 1)
            continue;
        at += used;
        for (series.count = 0; series.count < ROWS_LIMIT; series.count++) {
            char *end;

            series.requests[series.count] = strtod(at, &end);
            if (end == at)
                break;
            at = end;
        }
        evaluate(&series, price.nano);
    }
    return 0;
}
