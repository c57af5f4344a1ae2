#include "engine/growing.h"

#include "config/log.h"
#include "ingest/topics.h"

#include <stdlib.h>

#define LOOK_EVERY_MS 1000
#define AWAY_MS       5000 /* until a broker that does not answer is asked again */
#define ANSWER_MS     1000 /* the engine hears no signal meanwhile */

static bool
open_both(struct growing *growing, struct err *why)
{
    if (growing->store != NULL && store_broken(growing->store)) {
        store_close(growing->store);
        growing->store = NULL;
    }
    if (growing->topics == NULL)
        growing->topics = topics_open(growing->config, growing->client_id, ANSWER_MS, why);
    if (growing->topics != NULL && growing->store == NULL)
        growing->store = store_open(growing->config, "tripmeter/growth", why);
    return growing->topics != NULL && growing->store != NULL;
}

static bool
tell_ends(struct growing *growing, int32_t partitions, struct err *why)
{
    const size_t count = growing->config->kafka.topic_count * (size_t)partitions;
    int64_t *ends = calloc(count, sizeof *ends);
    const bool good = (ends != NULL || err_set(why, ERR_RETRY, "memory is short")) &&
                      topics_ends(growing->topics, partitions, ends, why) &&
                      store_growth_ends(growing->store, partitions, ends, why);

    free(ends);
    return good;
}

static bool
look(struct growing *growing, struct growth *growth, struct err *why)
{
    int32_t counts[TOPIC_LIMIT];

    return open_both(growing, why) && topics_counts(growing->topics, counts, why) &&
           store_growth(growing->store, counts, growing->config->dedupe.window_ms, growth, why) &&
           (!growth->ask_ends || tell_ends(growing, growth->partitions, why));
}

static void
take(struct growing *growing, const struct growth *growth)
{
    if (growing->partitions != growth->partitions && growing->partitions > 0)
        log_info("grown", "from=%d to=%d", (int)growing->partitions, (int)growth->partitions);
    else if (growth->waits[0] != '\0')
        log_warning("growing", "partitions=%d text=\"those added to the usage topics wait %s\"",
                    (int)growth->partitions, growth->waits);
    growing->partitions = growth->partitions;
    (void)text_copy(growing->waits, sizeof growing->waits, text_of(growth->waits));
}

bool
growing_turn(struct growing *growing, int32_t reach, int64_t now_ms, struct err *why)
{
    struct growth growth;

    why->class = ERR_NONE;
    if (reach <= growing->partitions && growing->waits[0] == '\0') {
        growing_end(growing);
        return false;
    }
    if (now_ms < growing->look_at_ms)
        return false;
    growing->look_at_ms = now_ms + LOOK_EVERY_MS;
    if (!look(growing, &growth, why)) {
        growing->look_at_ms = now_ms + AWAY_MS;
        if (why->class != ERR_FATAL)
            log_warning("growing", "text=\"%s\"", why->text);
        return false;
    }
    if (growing->partitions == growth.partitions && strcmp(growing->waits, growth.waits) == 0)
        return false;
    take(growing, &growth);
    return true;
}

void
growing_end(struct growing *growing)
{
    topics_close(growing->topics);
    store_close(growing->store);
    growing->topics = NULL;
    growing->store = NULL;
}
