#include "core/breaker.h"

#include <assert.h>

const char *const breaker_state_names[BREAKER_STATE_COUNT] = {
    [BREAKER_LEARNING] = "learning",
    [BREAKER_SHADOW] = "shadow",
    [BREAKER_CLOSED] = "closed",
    [BREAKER_OPEN] = "open",
    [BREAKER_HALF_OPEN] = "half_open",
    [BREAKER_RAMP] = "ramp",
    [BREAKER_LATCHED] = "latched",
    [BREAKER_FORCED_OPEN] = "forced_open",
    [BREAKER_FORCED_CLOSED] = "forced_closed",
};

static const char *const word_names[BREAKER_WORD_COUNT] = {
    [BREAKER_WORD_TRIP] = "trip",     [BREAKER_WORD_ALLOW] = "allow",
    [BREAKER_WORD_RESET] = "reset",   [BREAKER_WORD_ACCEPT] = "accept",
    [BREAKER_WORD_SHADOW] = "shadow", [BREAKER_WORD_STORM] = "storm",
};

bool
breaker_word_by_name(struct text name, enum breaker_word *out)
{
    for (enum breaker_word word = 0; word < BREAKER_WORD_STORM; word++)
        if (text_eq(name, text_of(word_names[word]))) {
            *out = word;
            return true;
        }
    return false;
}

/* A time of the table in proportion to the first cut's. */
static int64_t
paced(const struct breaker_view *view, int64_t time_ms)
{
    return time_ms * view->open_ms / BREAKER_OPEN_MS;
}

/* A probe may spend a quarter of the baseline, when it lasts ten minutes. */
static tally
probe_budget(const struct breaker *breaker, const struct breaker_view *view)
{
    const int64_t whole_ms = 4 * BREAKER_OPEN_MS;

    return breaker->baseline * view->open_ms / whole_ms;
}

/* Three baselines an hour, for as long as a step of the ramp lasts. */
static tally
ramp_budget(const struct breaker *breaker, const struct breaker_view *view)
{
    const int64_t hour_ms = CLOCK_HOUR_MS;

    return breaker->baseline * 3 * paced(view, BREAKER_RAMP_MS) / hour_ms;
}

void
breaker_init(struct breaker *breaker)
{
    *breaker = (struct breaker){.state = BREAKER_LEARNING,
                                .since_ms = INT64_MIN,
                                .until_ms = INT64_MAX,
                                .calm_ms = INT64_MAX,
                                .opened_ms = {INT64_MIN, INT64_MIN},
                                .tripped_ms = INT64_MIN,
                                .warn_ms = INT64_MAX,
                                .shadow_ms = INT64_MIN,
                                .would_ms = INT64_MAX};
}

bool
breaker_rests(const struct breaker *breaker)
{
    return breaker->state == BREAKER_LEARNING || breaker->state == BREAKER_SHADOW ||
           breaker->state == BREAKER_CLOSED;
}

bool
breaker_taints(const struct breaker *breaker)
{
    return breaker->would_ms != INT64_MAX ||
           (!breaker_rests(breaker) && breaker->state != BREAKER_FORCED_CLOSED);
}

bool
breaker_restricts(const struct breaker *breaker, bool *throttles)
{
    *throttles = breaker->throttled;
    return breaker->throttled || breaker->state == BREAKER_OPEN ||
           breaker->state == BREAKER_LATCHED || breaker->state == BREAKER_FORCED_OPEN;
}

static int64_t
earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t
breaker_due(const struct breaker *breaker)
{
    int64_t due_ms = earlier(earlier(breaker->until_ms, breaker->calm_ms),
                             earlier(breaker->warn_ms, breaker->would_ms));

    if (breaker->shadow_ms != INT64_MIN)
        due_ms = earlier(due_ms, breaker->shadow_ms);
    return due_ms;
}

/* ---- over ----------------------------------------------------------------------------------------- */

static bool
is_over(const struct breaker_view *view)
{
    return view->calls >= view->least_calls &&
           (view->hour > view->hour_limit || view->window > view->window_limit);
}

/* A warning stands until the spending is 5 points of its limit below it. */
static bool
is_warning(const struct breaker_view *view, bool warned)
{
    const int points = warned ? 95 : 100;

    return view->calls >= view->least_calls && (view->hour * 100 > view->hour_warn * points ||
                                                view->window * 100 > view->window_warn * points);
}

static bool
is_enforced(const struct breaker *breaker, const struct breaker_view *view)
{
    return view->enforce && view->now_ms >= breaker->shadow_ms;
}

bool
breaker_trips(const struct breaker *breaker, const struct breaker_view *view)
{
    return view->event && breaker_rests(breaker) && is_enforced(breaker, view) && is_over(view);
}

/* ---- the states ----------------------------------------------------------------------------------- */

/* The one place that assigns a state, and with it its end. */
static void
become(struct breaker *breaker, enum breaker_state state, int64_t now_ms, int64_t until_ms)
{
    if (breaker->state != state)
        breaker->since_ms = now_ms;
    breaker->state = state;
    breaker->until_ms = until_ms;
    breaker->spent = 0;
    breaker->throttled = false;
    breaker->waits = state == BREAKER_HALF_OPEN;
}

static enum breaker_state
rest_of(const struct breaker *breaker, const struct breaker_view *view)
{
    if (!view->known)
        return BREAKER_LEARNING;
    return is_enforced(breaker, view) ? BREAKER_CLOSED : BREAKER_SHADOW;
}

static bool
come_to_rest(struct breaker *breaker, const struct breaker_view *view)
{
    become(breaker, rest_of(breaker, view), view->now_ms, INT64_MAX);
    breaker->calm_ms = breaker->opens > 0 ? view->now_ms + BREAKER_CALM_MS : INT64_MAX;
    breaker->alarm = 0;
    breaker->warn_ms = breaker->would_ms = INT64_MAX;
    breaker->step = 0;
    return true;
}

static int64_t
open_time(const struct breaker_view *view, int32_t opens)
{
    int64_t time_ms = BREAKER_OPEN_MS;

    for (int32_t i = 1; i < opens && time_ms < BREAKER_OPEN_LIMIT_MS; i++)
        time_ms *= 2;
    return paced(view, earlier(time_ms, BREAKER_OPEN_LIMIT_MS));
}

static void
note_trip(struct breaker *breaker, const struct breaker_view *view)
{
    const bool hour = view->hour > view->hour_limit;

    breaker->tripped_ms = view->now_ms;
    breaker->baseline = view->baseline;
    breaker->observed = hour ? view->hour : view->window;
}

/* The next move into OPEN, or into LATCHED when it is the third within a day. */
static void
move_open(struct breaker *breaker, const struct breaker_view *view)
{
    const int64_t now_ms = view->now_ms;
    const bool latches =
        breaker->opened_ms[1] != INT64_MIN && breaker->opened_ms[1] > now_ms - BREAKER_LATCH_MS;

    breaker->opens += breaker->opens < INT32_MAX;
    breaker->opened_ms[1] = breaker->opened_ms[0];
    breaker->opened_ms[0] = now_ms;
    breaker->calm_ms = breaker->warn_ms = breaker->would_ms = INT64_MAX;
    if (latches) {
        become(breaker, BREAKER_LATCHED, now_ms, INT64_MAX);
        breaker->alarm = BREAKER_ALARM_LATCH;
        return;
    }
    become(breaker, BREAKER_OPEN, now_ms, now_ms + open_time(view, breaker->opens));
    breaker->alarm = breaker->alarm < BREAKER_ALARM_TRIP ? BREAKER_ALARM_TRIP : breaker->alarm + 1;
}

static void
start_probe(struct breaker *breaker, int32_t probe, const struct breaker_view *view)
{
    become(breaker, BREAKER_HALF_OPEN, view->now_ms, view->now_ms + paced(view, BREAKER_IDLE_MS));
    breaker->step = probe;
}

static void
start_step(struct breaker *breaker, int32_t percent, const struct breaker_view *view)
{
    become(breaker, BREAKER_RAMP, view->now_ms, view->now_ms + paced(view, BREAKER_RAMP_MS));
    breaker->step = percent;
}

/* ---- at rest -------------------------------------------------------------------------------------- */

static void
watch_warning(struct breaker *breaker, const struct breaker_view *view)
{
    const bool warned = breaker->alarm == BREAKER_ALARM_WARN;

    if (breaker->alarm > BREAKER_ALARM_WARN || (warned && view->now_ms < breaker->warn_ms) ||
        (!warned && !view->event))
        return;
    const bool warns = is_warning(view, warned);

    breaker->alarm = warns ? BREAKER_ALARM_WARN : 0;
    breaker->warn_ms = warns ? view->now_ms + BREAKER_WARN_MS : INT64_MAX;
}

/* Found over, but not to be cut: one long trip while it stays over. */
static void
watch_shadow(struct breaker *breaker, const struct breaker_view *view)
{
    const bool would = breaker->would_ms != INT64_MAX;
    const bool over = is_over(view);

    if (would && view->event)
        breaker->would_block += view->spent;
    if (would && view->now_ms < breaker->would_ms)
        return;
    if (over && (would || view->event)) {
        if (!would) {
            note_trip(breaker, view);
            breaker->would_block = 0;
            breaker->alarm = BREAKER_ALARM_TRIP;
            breaker->warn_ms = INT64_MAX;
        }
        breaker->would_ms = view->now_ms + view->open_ms;
    } else if (would) {
        breaker->would_ms = INT64_MAX;
        breaker->alarm = 0;
    }
}

static void
watch(struct breaker *breaker, const struct breaker_view *view)
{
    while (view->now_ms >= breaker->calm_ms) {
        breaker->opens--;
        breaker->calm_ms = breaker->opens > 0 ? breaker->calm_ms + BREAKER_CALM_MS : INT64_MAX;
    }
    if (view->now_ms >= breaker->shadow_ms)
        breaker->shadow_ms = INT64_MIN;
    if (view->storm && breaker_trips(breaker, view))
        breaker->shadow_ms = view->now_ms + BREAKER_STORM_MS;
    become(breaker, rest_of(breaker, view), view->now_ms, INT64_MAX);
    if (breaker_trips(breaker, view)) {
        note_trip(breaker, view);
        move_open(breaker, view);
        return;
    }
    if (!is_enforced(breaker, view) || breaker->would_ms != INT64_MAX)
        watch_shadow(breaker, view);
    watch_warning(breaker, view);
}

/* ---- the moves ------------------------------------------------------------------------------------ */

static bool
probe(struct breaker *breaker, const struct breaker_view *view)
{
    const int64_t now_ms = view->now_ms;

    if (now_ms >= breaker->until_ms) {
        if (breaker->waits)
            return come_to_rest(breaker, view);
        if (breaker->throttled && breaker->step == 1)
            start_probe(breaker, 2, view);
        else
            start_step(breaker, 50, view);
    }
    if (!view->event)
        return false;
    if (breaker->state == BREAKER_HALF_OPEN && breaker->waits) {
        breaker->waits = false;
        breaker->until_ms = now_ms + paced(view, BREAKER_PROBE_MS);
    }
    breaker->spent += view->spent;
    if (breaker->state != BREAKER_HALF_OPEN || breaker->throttled ||
        breaker->spent <= probe_budget(breaker, view))
        return false;
    if (now_ms < breaker->until_ms - paced(view, BREAKER_PROBE_MS - BREAKER_PROBE_FAST_MS))
        move_open(breaker, view);
    else
        breaker->throttled = true;
    return false;
}

static bool
ramp(struct breaker *breaker, const struct breaker_view *view)
{
    const tally full = ramp_budget(breaker, view);

    if (view->now_ms >= breaker->until_ms) {
        if (breaker->step == 100)
            return come_to_rest(breaker, view);
        start_step(breaker, breaker->step + 25, view);
    }
    if (!view->event)
        return false;
    breaker->spent += view->spent;
    if (breaker->spent > full)
        move_open(breaker, view);
    else if (breaker->spent * 100 >= full * breaker->step)
        breaker->throttled = true;
    return false;
}

bool
breaker_judge(struct breaker *breaker, const struct breaker_view *view)
{
    const bool by_itself = breaker->state == BREAKER_OPEN || breaker->state == BREAKER_HALF_OPEN ||
                           breaker->state == BREAKER_RAMP || breaker->state == BREAKER_LATCHED;

    if (by_itself && !is_enforced(breaker, view))
        return come_to_rest(breaker, view);
    switch (breaker->state) {
    case BREAKER_LEARNING:
    case BREAKER_SHADOW:
    case BREAKER_CLOSED:
        watch(breaker, view);
        return false;
    case BREAKER_OPEN:
        if (view->now_ms < breaker->until_ms)
            return false;
        start_probe(breaker, 1, view);
        return view->event && probe(breaker, view);
    case BREAKER_HALF_OPEN:
        return probe(breaker, view);
    case BREAKER_RAMP:
        return ramp(breaker, view);
    case BREAKER_FORCED_OPEN:
    case BREAKER_FORCED_CLOSED:
        return view->now_ms >= breaker->until_ms && come_to_rest(breaker, view);
    case BREAKER_LATCHED:
    case BREAKER_STATE_COUNT:
        break;
    }
    return false;
}

bool
breaker_say(struct breaker *breaker, enum breaker_word word, int64_t until_ms,
            const struct breaker_view *view)
{
    breaker->shadow_ms = INT64_MIN;
    switch (word) {
    case BREAKER_WORD_TRIP:
    case BREAKER_WORD_ALLOW:
        (void)come_to_rest(breaker, view);
        breaker->calm_ms = INT64_MAX;
        become(breaker, word == BREAKER_WORD_TRIP ? BREAKER_FORCED_OPEN : BREAKER_FORCED_CLOSED,
               view->now_ms, until_ms);
        return false;
    case BREAKER_WORD_RESET:
    case BREAKER_WORD_ACCEPT:
        breaker->opens = 0;
        breaker->opened_ms[0] = breaker->opened_ms[1] = INT64_MIN;
        return come_to_rest(breaker, view);
    case BREAKER_WORD_STORM:
        breaker->opens -= breaker->opens > 0;
        breaker->opened_ms[0] = breaker->opened_ms[1];
        breaker->opened_ms[1] = INT64_MIN;
        breaker->shadow_ms = until_ms;
        return come_to_rest(breaker, view);
    case BREAKER_WORD_SHADOW:
        breaker->shadow_ms = until_ms;
        return come_to_rest(breaker, view);
    case BREAKER_WORD_COUNT:
        break;
    }
    assert(false);
    return false;
}
