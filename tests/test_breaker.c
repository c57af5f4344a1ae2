/* Protects: every move of the breaker at its edges, and that nothing leaves it without a deadline or
 * an operator's word. */
#include "core/breaker.h"
#include "tests/check.h"

#include <string.h>

#define UNIT   ((tally)MONEY_NANO_PER_UNIT)
#define MINUTE CLOCK_MINUTE_MS
#define START  (INT64_C(20000) * CLOCK_DAY_MS)

/* An enforced breaker with a baseline of 4.00, and nothing spent. */
static struct breaker_view
view_at(int64_t minutes)
{
    return (struct breaker_view){.now_ms = START + minutes * MINUTE,
                                 .open_ms = BREAKER_OPEN_MS,
                                 .enforce = true,
                                 .known = true,
                                 .baseline = 4 * UNIT,
                                 .hour_limit = 12 * UNIT,
                                 .hour_warn = 8 * UNIT,
                                 .window_limit = 12 * UNIT,
                                 .window_warn = 8 * UNIT,
                                 .calls = 20,
                                 .least_calls = 20};
}

/* An event of so many cents, `minutes` after the start, with this much spent in the hour. */
static bool
spend(struct breaker *breaker, int64_t minutes, int64_t cents, int64_t hour)
{
    struct breaker_view view = view_at(minutes);

    view.event = true;
    view.spent = cents * (UNIT / 100);
    view.hour = view.window = hour * (UNIT / 100);
    return breaker_judge(breaker, &view);
}

static bool
pass(struct breaker *breaker, int64_t minutes)
{
    const struct breaker_view view = view_at(minutes);

    return breaker_judge(breaker, &view);
}

#define CHECK_STATE(row, breaker, expected) CHECK_INT(row, (breaker)->state, BREAKER_##expected)

/* Tripped at the start: open until minute 15. */
static struct breaker
tripped(void)
{
    struct breaker breaker;

    breaker_init(&breaker);
    (void)spend(&breaker, 0, 100, 1201);
    return breaker;
}

/* ---- into OPEN ------------------------------------------------------------------------------------- */

static void
test_over(void)
{
    static const struct {
        const char *row;
        int64_t hour;
        int64_t window;
        int64_t calls;
        bool known;
        bool enforce;
        enum breaker_state state;
        int32_t alarm;
    } rows[] = {
        {"quiet", 100, 100, 20, true, true, BREAKER_CLOSED, 0},
        {"at 2 B", 800, 800, 20, true, true, BREAKER_CLOSED, 0},
        {"above 2 B", 801, 100, 20, true, true, BREAKER_CLOSED, 200},
        {"60 minutes above 2 B", 100, 801, 20, true, true, BREAKER_CLOSED, 200},
        {"at 3 B", 1200, 1200, 20, true, true, BREAKER_CLOSED, 200},
        {"above 3 B", 1201, 1201, 20, true, true, BREAKER_OPEN, 300},
        {"60 minutes above 3 B", 100, 1201, 20, true, true, BREAKER_OPEN, 300},
        {"19 calls", 5000, 5000, 19, true, true, BREAKER_CLOSED, 0},
        {"not enforced", 1201, 1201, 20, true, false, BREAKER_SHADOW, 300},
        {"an absolute limit while learning", 1201, 1201, 20, false, true, BREAKER_OPEN, 300},
        {"learning", 100, 100, 20, false, true, BREAKER_LEARNING, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct breaker breaker;
        struct breaker_view view = view_at(0);

        breaker_init(&breaker);
        view.hour = rows[i].hour * (UNIT / 100);
        view.window = rows[i].window * (UNIT / 100);
        view.calls = rows[i].calls;
        view.known = rows[i].known;
        view.enforce = rows[i].enforce;
        (void)breaker_judge(&breaker, &view);
        CHECK_INT(rows[i].row, breaker.alarm, 0); /* time alone finds nothing */
        view.event = true;
        CHECK_INT(rows[i].row, breaker_judge(&breaker, &view), false);
        CHECK_INT(rows[i].row, breaker.state, rows[i].state);
        CHECK_INT(rows[i].row, breaker.alarm, rows[i].alarm);
    }
}

static void
test_warning_ends(void)
{
    struct breaker breaker;

    breaker_init(&breaker);
    (void)spend(&breaker, 0, 1, 801);
    CHECK_INT("looked at in 5 minutes", breaker_due(&breaker), START + 5 * MINUTE);
    struct breaker_view view = view_at(5);

    view.hour = 761 * (UNIT / 100);
    (void)breaker_judge(&breaker, &view);
    CHECK_INT("not 5 points below", breaker.alarm, 200);
    view = view_at(10);
    view.hour = 760 * (UNIT / 100);
    (void)breaker_judge(&breaker, &view);
    CHECK_INT("5 points below", breaker.alarm, 0);
    CHECK_INT("nothing to wait for", breaker_due(&breaker), INT64_MAX);
}

/* ---- after it ---------------------------------------------------------------------------------------- */

static void
test_open_ends(void)
{
    struct breaker breaker = tripped();
    bool throttles;

    CHECK_STATE("tripped", &breaker, OPEN);
    CHECK_INT("restricts", breaker_restricts(&breaker, &throttles), true);
    CHECK_INT("baseline", breaker.baseline, 4 * UNIT);
    CHECK_INT("observed", breaker.observed, 1201 * (UNIT / 100));
    CHECK_INT("15 minutes", breaker_due(&breaker), START + 15 * MINUTE);
    (void)spend(&breaker, 14, 9900, 9900);
    CHECK_STATE("what slips through changes nothing", &breaker, OPEN);
    (void)pass(&breaker, 15);
    CHECK_STATE("a probe", &breaker, HALF_OPEN);
    CHECK_INT("lets through", breaker_restricts(&breaker, &throttles), false);
    CHECK_INT("no call for 30 minutes", pass(&breaker, 45), true);
    CHECK_STATE("closed", &breaker, CLOSED);
    CHECK_INT("the alarm is over", breaker.alarm, 0);
}

static void
test_probe(void)
{
    static const struct {
        const char *row;
        int64_t second; /* minute of what spends the first probe, after its first call */
        int64_t cents;
        enum breaker_state state; /* then */
        enum breaker_state later; /* at the end of the probe's 10 minutes */
        int32_t step;
    } rows[] = {
        {"spent at once", 1, 101, BREAKER_OPEN, BREAKER_OPEN, 1},
        {"spent after 4 minutes", 4, 101, BREAKER_OPEN, BREAKER_OPEN, 1},
        {"spent after 5 minutes", 5, 101, BREAKER_HALF_OPEN, BREAKER_HALF_OPEN, 2},
        {"exactly the budget", 1, 100, BREAKER_HALF_OPEN, BREAKER_RAMP, 50},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct breaker breaker = tripped();
        bool throttles;

        (void)pass(&breaker, 15);
        (void)spend(&breaker, 20, 0, 0);
        CHECK_INT(rows[i].row, breaker_due(&breaker), START + 30 * MINUTE);
        (void)spend(&breaker, 20 + rows[i].second, rows[i].cents, 0);
        CHECK_INT(rows[i].row, breaker.state, rows[i].state);
        if (rows[i].later == BREAKER_HALF_OPEN) {
            CHECK_INT(rows[i].row, breaker_restricts(&breaker, &throttles), true);
            CHECK_INT(rows[i].row, throttles, true);
        }
        (void)pass(&breaker, 30);
        CHECK_INT(rows[i].row, breaker.state, rows[i].later);
        CHECK_INT(rows[i].row, breaker.step, rows[i].step);
    }
}

static void
test_second_probe(void)
{
    struct breaker breaker = tripped();
    bool throttles;

    (void)pass(&breaker, 15);
    (void)spend(&breaker, 15, 0, 0);
    (void)spend(&breaker, 21, 101, 0);
    (void)pass(&breaker, 25);
    CHECK_INT("the second lets through", breaker_restricts(&breaker, &throttles), false);
    struct breaker fast = breaker;

    (void)spend(&fast, 26, 101, 0);
    CHECK_STATE("spent at once", &fast, OPEN);
    CHECK_INT("for 30 minutes", breaker_due(&fast), START + 56 * MINUTE);
    CHECK_INT("alarm rises", fast.alarm, 301);
    (void)spend(&breaker, 26, 0, 0);
    (void)spend(&breaker, 32, 101, 0);
    (void)pass(&breaker, 36);
    CHECK_STATE("late twice", &breaker, RAMP);
}

static void
test_ramp(void)
{
    struct breaker breaker = tripped();
    bool throttles;

    (void)pass(&breaker, 15);
    (void)spend(&breaker, 15, 10, 0);
    (void)pass(&breaker, 25);
    CHECK_STATE("ramp", &breaker, RAMP);
    /* 3 B is 12.00 an hour, 2.00 in ten minutes; the first step is half of that. */
    (void)spend(&breaker, 26, 99, 0);
    CHECK_INT("below the step", breaker_restricts(&breaker, &throttles), false);
    (void)spend(&breaker, 27, 1, 0);
    CHECK_INT("the step is spent", breaker_restricts(&breaker, &throttles), true);
    CHECK_INT("and throttles", throttles, true);
    (void)pass(&breaker, 35);
    CHECK_INT("the next", breaker.step, 75);
    CHECK_INT("lets through again", breaker_restricts(&breaker, &throttles), false);
    struct breaker above = breaker;

    (void)spend(&above, 36, 201, 0);
    CHECK_STATE("above 3 B pro rata", &above, OPEN);
    (void)pass(&breaker, 45);
    CHECK_INT("the last", breaker.step, 100);
    (void)spend(&breaker, 46, 199, 0);
    CHECK_INT("not yet", pass(&breaker, 54), false);
    CHECK_INT("over", pass(&breaker, 55), true);
    CHECK_STATE("closed", &breaker, CLOSED);
    CHECK_INT("n", breaker.opens, 1);
    (void)pass(&breaker, 55 + 359);
    CHECK_INT("not 6 hours", breaker.opens, 1);
    (void)pass(&breaker, 55 + 360);
    CHECK_INT("6 hours later", breaker.opens, 0);
    CHECK_INT("at rest for good", breaker_due(&breaker), INT64_MAX);
}

static void
test_latch(void)
{
    struct breaker breaker = tripped();

    (void)pass(&breaker, 15);
    (void)spend(&breaker, 16, 101, 0);
    CHECK_STATE("second", &breaker, OPEN);
    CHECK_INT("twice as long", breaker_due(&breaker), START + 46 * MINUTE);
    (void)pass(&breaker, 46);
    struct breaker late = breaker;

    (void)spend(&breaker, 47, 101, 0);
    CHECK_STATE("third", &breaker, LATCHED);
    CHECK_INT("alarm", breaker.alarm, BREAKER_ALARM_LATCH);
    CHECK_INT("no deadline", breaker_due(&breaker), INT64_MAX);
    (void)pass(&breaker, 100000);
    CHECK_STATE("for ever", &breaker, LATCHED);
    const struct breaker_view view = view_at(100001);

    CHECK_INT("reset", breaker_say(&breaker, BREAKER_WORD_RESET, INT64_MAX, &view), true);
    CHECK_STATE("reset", &breaker, CLOSED);
    CHECK_INT("n", breaker.opens, 0);
    late.opened_ms[1] -= 24 * CLOCK_HOUR_MS;
    (void)spend(&late, 47, 101, 0);
    CHECK_STATE("the first was a day ago", &late, OPEN);
}

/* ---- not enforced, storms, words ----------------------------------------------------------------------- */

static void
test_shadow(void)
{
    struct breaker breaker;
    struct breaker_view view = view_at(0);

    breaker_init(&breaker);
    view.enforce = false;
    view.event = true;
    view.spent = UNIT;
    view.hour = view.window = 13 * UNIT;
    (void)breaker_judge(&breaker, &view);
    CHECK_INT("would be open", breaker_due(&breaker), START + 15 * MINUTE);
    CHECK_INT("its hours are not usual", breaker_taints(&breaker), true);
    view.now_ms += MINUTE;
    (void)breaker_judge(&breaker, &view);
    CHECK_INT("would have blocked", breaker.would_block, UNIT);
    view.now_ms = START + 15 * MINUTE;
    view.event = false;
    (void)breaker_judge(&breaker, &view);
    CHECK_INT("still over", breaker_due(&breaker), START + 30 * MINUTE);
    view.now_ms = START + 30 * MINUTE;
    view.hour = view.window = 12 * UNIT;
    (void)breaker_judge(&breaker, &view);
    CHECK_INT("no longer", breaker.alarm, 0);
    CHECK_INT("and remembers", breaker.would_block, UNIT);
    struct breaker open = tripped();

    view.now_ms = START + MINUTE;
    CHECK_INT("no longer enforced", breaker_judge(&open, &view), true);
    CHECK_STATE("no longer enforced", &open, SHADOW);
}

static void
test_storm(void)
{
    struct breaker first = tripped();
    struct breaker second;
    struct breaker_view view = view_at(3);

    breaker_init(&second);
    view.event = view.storm = true;
    view.hour = view.window = 13 * UNIT;
    (void)breaker_judge(&second, &view);
    CHECK_STATE("not cut", &second, SHADOW);
    CHECK_INT("seen all the same", second.tripped_ms, view.now_ms);
    CHECK_INT("released",
              breaker_say(&first, BREAKER_WORD_STORM, view.now_ms + BREAKER_STORM_MS, &view), true);
    CHECK_STATE("released", &first, SHADOW);
    CHECK_INT("as if it had not", first.opens, 0);
    view = view_at(63);
    view.hour = 0;
    (void)breaker_judge(&first, &view);
    CHECK_STATE("an hour later", &first, CLOSED);
}

static void
test_words(void)
{
    struct breaker breaker = tripped();
    struct breaker_view view = view_at(5);
    bool throttles;

    (void)breaker_say(&breaker, BREAKER_WORD_ALLOW, START + 60 * MINUTE, &view);
    CHECK_STATE("allowed", &breaker, FORCED_CLOSED);
    (void)spend(&breaker, 6, 9900, 9900);
    CHECK_STATE("whatever it spends", &breaker, FORCED_CLOSED);
    CHECK_INT("to its end", pass(&breaker, 60), true);
    CHECK_STATE("at rest", &breaker, CLOSED);
    view = view_at(70);
    (void)breaker_say(&breaker, BREAKER_WORD_TRIP, INT64_MAX, &view);
    CHECK_STATE("cut", &breaker, FORCED_OPEN);
    CHECK_INT("restricts", breaker_restricts(&breaker, &throttles), true);
    (void)pass(&breaker, 1000000);
    CHECK_STATE("until another word", &breaker, FORCED_OPEN);
    view = view_at(1000001);
    (void)breaker_say(&breaker, BREAKER_WORD_SHADOW, view.now_ms + 60 * MINUTE, &view);
    CHECK_STATE("shadow", &breaker, SHADOW);
    (void)spend(&breaker, 1000002, 1, 9900);
    CHECK_STATE("says only", &breaker, SHADOW);
    (void)spend(&breaker, 1000061, 1, 9900);
    CHECK_STATE("over", &breaker, OPEN);
}

/* ---- whatever happens ------------------------------------------------------------------------------------ */

static uint64_t state;

static uint64_t
draw(uint64_t below)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state >> 33) % below;
}

static struct breaker_view
any_view(int64_t now_ms)
{
    struct breaker_view view = view_at(0);

    view.now_ms = now_ms;
    view.enforce = draw(40) != 0;
    view.known = draw(20) != 0;
    view.storm = draw(20) == 0;
    view.event = draw(3) != 0;
    view.spent = view.event ? (int64_t)draw(3) * UNIT / 2 : 0;
    view.hour = (int64_t)draw(16) * UNIT;
    view.window = view.hour + (int64_t)draw(4) * UNIT;
    return view;
}

/* It waits for an operator, who has spoken or must speak. */
static bool
is_operators(const struct breaker *breaker)
{
    return breaker->state == BREAKER_LATCHED || breaker->state == BREAKER_FORCED_OPEN ||
           breaker->state == BREAKER_FORCED_CLOSED;
}

static void
check_one(const struct breaker *breaker, int64_t now_ms)
{
    bool throttles;
    const bool restricts = breaker_restricts(breaker, &throttles);

    if (!breaker_rests(breaker) && !is_operators(breaker)) {
        CHECK_INT("a deadline", breaker->until_ms < INT64_MAX, true);
        CHECK_INT("ahead", breaker->until_ms > now_ms, true);
        CHECK_INT("not too far", breaker->until_ms <= now_ms + BREAKER_OPEN_LIMIT_MS, true);
        CHECK_INT("due then or before", breaker_due(breaker) <= breaker->until_ms, true);
        CHECK_INT("a baseline to probe by", breaker->baseline > 0, true);
    }
    CHECK_INT("never due in the past", breaker_due(breaker) > now_ms, true);
    if (breaker_rests(breaker))
        CHECK_INT("at rest nothing is stopped", restricts, false);
    if (breaker->opens > 0 && breaker_rests(breaker))
        CHECK_INT("n falls in time", breaker->calm_ms < INT64_MAX, true);
    if (breaker->alarm == BREAKER_ALARM_WARN)
        CHECK_INT("a warning ends", breaker->warn_ms < INT64_MAX, true);
}

/* Silence from here on: only its deadlines come. */
static void
check_silence(struct breaker breaker)
{
    int moves = 0;

    while (breaker_due(&breaker) != INT64_MAX && moves++ < 200) {
        struct breaker_view view = view_at(0);

        view.now_ms = breaker_due(&breaker);
        (void)breaker_judge(&breaker, &view);
        check_one(&breaker, view.now_ms);
    }
    CHECK_INT("comes to an end", moves < 200, true);
    CHECK_INT("at rest or an operator's", breaker_rests(&breaker) || is_operators(&breaker), true);
    if (breaker_rests(&breaker)) {
        CHECK_INT("no alarm is left", breaker.alarm, 0);
        CHECK_INT("n is gone", breaker.opens, 0);
    }
}

static void
test_never_stuck(void)
{
    bool seen[BREAKER_STATE_COUNT] = {false};

    state = 20261121;
    for (size_t round = 0; round < 300; round++) {
        struct breaker breaker;
        int64_t now_ms = START;

        breaker_init(&breaker);
        for (size_t i = 0; i < 200; i++) {
            now_ms += (int64_t)draw(draw(10) == 0 ? 8 * 60 : 12) * MINUTE;
            /* Deadlines come first, in their order, as the shard has it. */
            while (breaker_due(&breaker) <= now_ms) {
                struct breaker_view due = any_view(breaker_due(&breaker));

                due.event = false;
                (void)breaker_judge(&breaker, &due);
                check_one(&breaker, due.now_ms);
            }
            const struct breaker_view view = any_view(now_ms);

            if (draw(40) == 0)
                (void)breaker_say(
                    &breaker, (enum breaker_word)draw(BREAKER_WORD_COUNT),
                    draw(6) == 0 ? INT64_MAX : now_ms + 1 + (int64_t)draw(300) * MINUTE, &view);
            else
                (void)breaker_judge(&breaker, &view);
            check_one(&breaker, now_ms);
            seen[breaker.state] = true;
        }
        check_silence(breaker);
    }
    for (size_t i = 0; i < BREAKER_STATE_COUNT; i++)
        CHECK_INT(breaker_state_names[i], seen[i], true);
}

static CU_TestInfo tests[] = {
    {"what is over", test_over},
    {"a warning ends", test_warning_ends},
    {"open until its time", test_open_ends},
    {"the probe", test_probe},
    {"the second probe", test_second_probe},
    {"the ramp", test_ramp},
    {"the latch", test_latch},
    {"not enforced", test_shadow},
    {"a storm", test_storm},
    {"an operator's words", test_words},
    {"never without a deadline or a word", test_never_stuck},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_breaker = {.pName = "breaker", .pTests = tests};
