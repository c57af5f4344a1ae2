/*
 * The control sink alone, driven by lines on standard input: what an engine would ask of it.
 *
 *   control_driver BROKERS TOPIC create|keep      keep: the topic may not be created
 *     own SHARD EPOCH | disown SHARD | block SCOPE | allow SCOPE | quit
 *
 * block and allow go to the shard owned last, whose heartbeat it keeps up.  A scope on the topic
 * that is not known here is printed ("stranger SCOPE") and allowed.  Prints "ready" when open, or
 * why it is not.
 */
#include "sinks/control.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TURN_MS = 20, CLOSE_MS = 5000, ARENA_SIZE = 64 * 1024 };

struct driver {
    struct control *control;
    struct arena *arena;
    int32_t shard;
    int64_t epoch;
};

static int64_t
now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
want(struct driver *driver, struct text scope, bool block)
{
    struct scope_state state = {
        .scope = scope, .shard = driver->shard, .epoch = driver->epoch, .at_ms = now_ms()};
    const struct restriction restriction = {.code = CODE_plan_allowance_exhausted,
                                            .rank = 3,
                                            .rule = TEXT("quota/api_calls"),
                                            .since_ms = state.at_ms,
                                            .ends_ms = INT64_MAX};

    if (block)
        scope_restrict(&state, &restriction);
    if (!control_want(driver->control, &state))
        (void)fprintf(stderr, "control_driver: the map is full\n");
}

/* False at the end. */
static bool
obey(struct driver *driver, char *line)
{
    char word[16] = "";
    char scope[SCOPE_SIZE] = "";
    struct text rest;

    line[strcspn(line, "\n")] = '\0';
    (void)text_copy(word, sizeof word, (struct text){line, strcspn(line, " ")});
    rest = text_of(line + strcspn(line, " "));
    (void)text_copy(scope, sizeof scope, text_of(rest.at + strspn(rest.at, " ")));
    if (strcmp(word, "own") == 0) {
        const size_t size = strcspn(scope, " ");
        int64_t shard = 0;

        (void)text_to_int((struct text){scope, size}, 0, 1000, &shard);
        (void)text_to_int(text_of(scope + size + 1), 1, INT32_MAX, &driver->epoch);
        driver->shard = (int32_t)shard;
        control_own(driver->control, driver->shard, driver->epoch);
        control_may_allow(driver->control, driver->shard);
    } else if (strcmp(word, "disown") == 0) {
        control_disown(driver->control, driver->shard);
    } else if (strcmp(word, "block") == 0 || strcmp(word, "allow") == 0) {
        want(driver, text_of(scope), word[0] == 'b');
    } else {
        return false;
    }
    return true;
}

static void
meet_strangers(struct driver *driver)
{
    struct text scope;
    struct text tenant;

    arena_clear(driver->arena);
    while (control_stranger(driver->control, driver->arena, &scope, &tenant)) {
        (void)printf("stranger %.*s\n", (int)scope.size, scope.at);
        (void)fflush(stdout);
        want(driver, scope, false);
    }
    if (driver->epoch != 0)
        control_heartbeat(driver->control, driver->shard, now_ms(), 0);
}

static void
run(struct driver *driver)
{
    char line[SCOPE_SIZE + 16];
    bool on = true;

    /* Unbuffered, so that poll() and fgets() agree on what is left. */
    (void)setvbuf(stdin, NULL, _IONBF, 0);
    while (on) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

        meet_strangers(driver);
        if (poll(&input, 1, TURN_MS) > 0)
            on = fgets(line, sizeof line, stdin) != NULL && obey(driver, line);
    }
}

int
main(int argc, char **argv)
{
    static struct metric_set metrics;
    struct config config = {.kafka = {.group = "driver", .replication = -1}};
    struct driver driver = {.arena = arena_new(ARENA_SIZE)};
    struct err why = {0};

    if (argc != 4 || driver.arena == NULL) {
        (void)fprintf(stderr, "usage: control_driver BROKERS TOPIC create|keep\n");
        return 2;
    }
    config.kafka.brokers = argv[1];
    config.kafka.control_topic = argv[2];
    config.kafka.create_topics = strcmp(argv[3], "create") == 0;
    driver.control = control_open(&config, &metrics, &why);
    (void)printf("%s\n", driver.control == NULL ? why.text : "ready");
    (void)fflush(stdout);
    if (driver.control == NULL)
        return 1;
    run(&driver);
    control_close(driver.control, CLOSE_MS);
    arena_free(driver.arena);
    return 0;
}
