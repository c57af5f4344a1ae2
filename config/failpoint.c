#include "config/failpoint.h"

#include "core/text.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define POINT_LIMIT 16

static const char *const actions[] = {"kill", "abort", "stop", "delay", "error"};
enum action { ACTION_KILL, ACTION_ABORT, ACTION_STOP, ACTION_DELAY, ACTION_ERROR, ACTION_COUNT };

static const char *const names[FAIL_COUNT] = {
#define FAILPOINT(name, where, error) #name,
#include "config/failpoint.def"
#undef FAILPOINT
};

struct point {
    enum failpoint place;
    enum action action;
    int64_t number; /* -1: every time */
    int64_t passed;
};

bool failpoint_any;
static struct point points[POINT_LIMIT];
static size_t point_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int
index_of(struct text word, const char *const *words, int count)
{
    int i = 0;

    while (i < count && !text_eq(word, text_of(words[i])))
        i++;
    return i;
}

static bool
read_point(struct text one, struct err *why)
{
    const char *equals = memchr(one.at, '=', one.size);
    const size_t name_size = equals == NULL ? one.size : (size_t)(equals - one.at);
    struct text action = {equals, equals == NULL ? 0 : one.size - name_size};
    const char *at = equals == NULL ? NULL : memchr(action.at, '@', action.size);
    struct point point = {.number = -1, .action = ACTION_COUNT};
    bool good = equals != NULL && point_count < POINT_LIMIT;

    if (at != NULL) {
        const struct text number = {at + 1, (size_t)(one.at + one.size - at - 1)};

        good = good && text_to_int(number, 0, INT64_MAX, &point.number);
        action.size = (size_t)(at - action.at);
    }
    point.place = (enum failpoint)index_of((struct text){one.at, name_size}, names, FAIL_COUNT);
    if (good)
        point.action = (enum action)index_of((struct text){action.at + 1, action.size - 1}, actions,
                                             ACTION_COUNT);
    if (!good || point.place == FAIL_COUNT || point.action == ACTION_COUNT)
        return err_set(why, ERR_FATAL, "TRIPMETER_FAILPOINTS: %.*s is no name=action[@number]",
                       (int)one.size, one.at);
    points[point_count++] = point;
    return true;
}

bool
failpoint_setup(struct err *why)
{
    const char *at = getenv("TRIPMETER_FAILPOINTS"); /* NOLINT(concurrency-mt-unsafe) */

    point_count = 0;
    failpoint_any = false;

    while (at != NULL && *at != '\0') {
        const size_t size = strcspn(at, ",");

        if (!read_point((struct text){at, size}, why))
            return false;
        failpoint_any = true;
        at += size + (at[size] == ',');
    }
    return true;
}

static enum action
chosen(enum failpoint place, int64_t number)
{
    enum action found = ACTION_COUNT;

    (void)pthread_mutex_lock(&lock);
    for (size_t i = 0; i < point_count; i++) {
        struct point *point = &points[i];

        if (point->place != place)
            continue;
        point->passed++;
        if (point->number < 0 || point->number == (number < 0 ? point->passed : number))
            found = point->action;
    }
    (void)pthread_mutex_unlock(&lock);
    return found;
}

bool
failpoint_reached(enum failpoint place, int64_t number)
{
    const struct timespec second = {.tv_sec = 1};

    switch (chosen(place, number)) {
    case ACTION_KILL:
        (void)raise(SIGKILL);
        break;
    case ACTION_ABORT:
        abort();
    case ACTION_STOP:
        (void)raise(SIGSTOP);
        break;
    case ACTION_DELAY:
        (void)nanosleep(&second, NULL);
        break;
    case ACTION_ERROR:
        return true;
    case ACTION_COUNT:
        break;
    }
    return false;
}
