/* learn: baselines from a gateway's log, for what was spent before tripmeter was there. */
#include "cli/applied.h"
#include "cli/session.h"
#include "core/identity.h"
#include "core/list.h"
#include "core/slots.h"
#include "ingest/decode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define SPENT_LIMIT 20000000 /* quarters of an hour of features; ids of events */
#define TEXT_LIMIT  ((size_t)1 << 30)
#define QUARTER_MS  (15 * CLOCK_MINUTE_MS)

static const struct option_row learn_options[] = {
    OPTION_CONFIG,
    {"reason", "TEXT", "why; it is kept (default: the file's name)", false},
    OPTION_ACTOR,
    OPTION_NO_WAIT,
    {NULL, NULL, NULL, false}};

/* What a feature spent in a quarter of an hour: in every zone hours are made of these. */
struct spent {
    struct text tenant;
    struct text feature;
    int64_t at_ms;
    tally cost;
};

struct learning {
    struct arena *texts;
    struct list spent; /* struct spent */
    struct table index;
    struct table seen; /* identities of events */
    size_t events;
    size_t repeated;
    size_t useless; /* no usage, no feature or no cost */
    size_t refused;
};

/* ---- reading ----------------------------------------------------------------------------------------- */

static bool
add(struct learning *learning, const struct event *event, struct err *why)
{
    const struct text names[] = {event->tenant, event->names[NAME_FEATURE]};
    const int64_t at_ms = event->at_ms - event->at_ms % QUARTER_MS;
    const struct key128 key =
        identity_numbers(identity_texts((struct key128){0, 0}, names, 2), &at_ms, 1);
    uint32_t place = table_find(&learning->index, key);

    if (place == TABLE_NONE) {
        struct spent *spent = list_add(&learning->spent);

        place = (uint32_t)(learning->spent.count - 1);
        if (spent == NULL || !table_put(&learning->index, key, place))
            return err_set(why, ERR_INPUT, "more than can be learned at once: split the file");
        *spent = (struct spent){.tenant = arena_text(learning->texts, names[0]),
                                .feature = arena_text(learning->texts, names[1]),
                                .at_ms = at_ms};
        if (spent->tenant.at == NULL || spent->feature.at == NULL)
            return err_set(why, ERR_FATAL, "out of memory");
    }
    ((struct spent *)list_at(&learning->spent, place))->cost += event->cost.nano;
    return true;
}

static bool
learn_event(struct learning *learning, const struct event *event, struct err *why)
{
    const struct text identity[] = {event->tenant, event->source, event->id};
    const struct key128 id = identity_texts((struct key128){0, 1}, identity, 3);
    const bool spends = event->kind == EVENT_RECORD || event->kind == EVENT_SETTLE;

    learning->events++;
    if (table_find(&learning->seen, id) != TABLE_NONE) {
        learning->repeated++;
        return true;
    }
    if (!table_put(&learning->seen, id, 0))
        return err_set(why, ERR_INPUT, "more events than can be learned at once: split the file");
    if (!spends || event->names[NAME_FEATURE].size == 0 || event->cost.nano <= 0) {
        learning->useless++;
        return true;
    }
    return add(learning, event, why);
}

static bool
learn_line(struct learning *learning, struct decoder *decoder, struct text line, struct err *why)
{
    const struct record record = {.time_ms = DECODE_NO_TIME, .value = line};
    struct event event;
    struct dead dead;
    enum decoded decoded;
    bool good = true;

    decoder_open(decoder, &record);
    while ((decoded = decoder_next(decoder, &event, &dead)) != DECODED_END) {
        learning->refused += decoded == DECODED_DEAD;
        if (decoded == DECODED_EVENT && good)
            good = learn_event(learning, &event, why);
    }
    return good;
}

static bool
read_file(struct learning *learning, FILE *file, struct err *why)
{
    struct decoder *decoder = decoder_new();
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    bool good = decoder != NULL || err_set(why, ERR_FATAL, "out of memory");

    while (good && (size = getline(&line, &room, file)) > 0) {
        const size_t used = line[size - 1] == '\n' ? (size_t)size - 1 : (size_t)size;

        if (used > 0)
            good = learn_line(learning, decoder, (struct text){line, used}, why);
    }
    if (good && ferror(file))
        good = err_set(why, ERR_INPUT, "cannot be read to its end");
    free(line);
    decoder_free(decoder);
    return good;
}

/* ---- storing ------------------------------------------------------------------------------------------ */

static int
compare_spent(const void *one, const void *other)
{
    const struct spent *a = one;
    const struct spent *b = other;
    int order = text_compare(a->tenant, b->tenant);

    if (order == 0)
        order = text_compare(a->feature, b->feature);
    return order != 0 ? order : (a->at_ms > b->at_ms) - (a->at_ms < b->at_ms);
}

/* Two array literals of one feature's quarters: when, in ms, and how much. */
static bool
literals(const struct spent *spent, size_t count, char **times, char **costs)
{
    const size_t room = count * TALLY_TEXT_SIZE + 3;
    size_t time_size = 1;
    size_t cost_size = 1;

    *times = malloc(room);
    *costs = malloc(room);
    if (*times == NULL || *costs == NULL)
        return false;
    (*times)[0] = (*costs)[0] = '{';
    for (size_t i = 0; i < count; i++) {
        char amount[TALLY_TEXT_SIZE];

        time_size += (size_t)snprintf(*times + time_size, room - time_size, "%s%" PRId64,
                                      i == 0 ? "" : ",", spent[i].at_ms);
        cost_size += (size_t)snprintf(*costs + cost_size, room - cost_size, "%s%s",
                                      i == 0 ? "" : ",", tally_format_money(spent[i].cost, amount));
    }
    (void)snprintf(*times + time_size, room - time_size, "}");
    (void)snprintf(*costs + cost_size, room - cost_size, "}");
    return true;
}

static bool
store_feature(struct session *session, const struct arguments *arguments, const struct spent *spent,
              size_t count, struct err *why)
{
    const char *reason = option_value(arguments, "reason");
    char *times = NULL;
    char *costs = NULL;
    PGresult *rows = NULL;

    if (literals(spent, count, &times, &costs)) {
        const char *const values[] = {spent->tenant.at,
                                      spent->feature.at,
                                      times,
                                      costs,
                                      session->policy->zone.at,
                                      command_actor(arguments),
                                      reason == NULL ? arguments->words[0] : reason};

        rows = db_query(&session->db,
                        "SELECT tripmeter.breaker_learn($1, $2, $3::bigint[], $4::numeric[], $5,"
                        " $6, $7)",
                        values, 7, why);
        if (rows != NULL)
            printf("%s, %s: %s hours\n", spent->tenant.at, spent->feature.at, db_text(rows, 0, 0));
    } else
        (void)err_set(why, ERR_FATAL, "out of memory");
    PQclear(rows);
    free(times);
    free(costs);
    return why->class == ERR_NONE;
}

static bool
store(struct session *session, const struct arguments *arguments, void *what, struct err *why)
{
    const struct learning *learning = what;
    struct spent *all = learning->spent.at;
    const size_t count = learning->spent.count;

    qsort(all, count, sizeof *all, compare_spent);
    for (size_t from = 0, until = 0; from < count; from = until) {
        while (until < count && text_eq(all[until].tenant, all[from].tenant) &&
               text_eq(all[until].feature, all[from].feature))
            until++;
        if (!store_feature(session, arguments, &all[from], until - from, why))
            return false;
    }
    printf("%zu events: %zu sent again, %zu without feature or cost, %zu refused\n",
           learning->events, learning->repeated, learning->useless, learning->refused);
    return true;
}

static enum answer
run_learn(const struct arguments *arguments)
{
    struct learning learning = {.texts = arena_new(TEXT_LIMIT)};
    struct err why = {.class = ERR_NONE};
    struct session session;
    enum answer answer;
    FILE *file = fopen(arguments->words[0], "r");

    list_init(&learning.spent, sizeof(struct spent), SPENT_LIMIT);
    if (file == NULL) {
        command_complain("%s: %s", arguments->words[0],
                         errno == ENOENT ? "there is no such file" : "it cannot be opened");
        arena_free(learning.texts);
        return ANSWER_NO;
    }
    if (session_open(&session, arguments, &answer)) {
        if (learning.texts == NULL || !table_init(&learning.index, 1024, SPENT_LIMIT) ||
            !table_init(&learning.seen, 1024, SPENT_LIMIT))
            (void)err_set(&why, ERR_FATAL, "out of memory");
        else if (read_file(&learning, file, &why))
            (void)applied_change(&session, arguments, store, &learning, &why);
        answer = session_close(&session, ANSWER_FINE, &why);
    }
    (void)fclose(file);
    table_free(&learning.index);
    table_free(&learning.seen);
    list_free(&learning.spent);
    arena_free(learning.texts);
    return answer;
}

const struct command_row command_learn = {
    .name = "learn",
    .words = "FILE",
    .least = 1,
    .most = 1,
    .what = "Seed the baselines of breakers from a gateway's log",
    .more =
        "One usage event a line, as on the topic; only time, feature and cost matter. Hours of\n"
        "the last four weeks that have no usage yet are learned, once; nothing is counted.\n",
    .options = learn_options,
    .run = run_learn};
