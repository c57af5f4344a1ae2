/*
 * A worker of the settlement campaign: the real store and the real rules over logs in files.
 *
 *   campaign_worker CONFIG DIRECTORY SHARDS RECORDS NAME SEED
 *
 * RECORDS is dedupe.records, fewer than a configuration may say, so that it matters in a short log.
 * The worker goes from shard to shard as the seed says, so that workers meet.  On standard input comes what
 * it is to stumble over next: the value of TRIPMETER_FAILPOINTS, a line each time, an empty one for
 * nothing; the end of the input ends it.  tests/campaign/campaign.py drives several of them.
 */
#include "config/failpoint.h"
#include "config/findings.h"
#include "core/identity.h"
#include "tests/campaign/owner.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHARD_LIMIT 16

static bool ending;

static void
set_failpoints(const char *value)
{
    struct err why;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    if (setenv("TRIPMETER_FAILPOINTS", value, 1) == 0 && failpoint_setup(&why))
        return;
    printf("broken failpoint: %s\n", value);
    exit(3); /* NOLINT(concurrency-mt-unsafe) */
}

static bool
readable(int timeout_ms)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&input, 1, timeout_ms) > 0;
}

/* Orders are short and come one by one: a read brings whole lines, of which the last one counts. */
static void
listen_to_driver(void)
{
    while (!ending && readable(0)) {
        static char order[256];
        const ssize_t size = read(STDIN_FILENO, order, sizeof order - 1);

        ending = size <= 0;
        if (ending || order[size - 1] != '\n')
            return;
        order[size - 1] = '\0';
        const char *const last = strrchr(order, '\n');

        set_failpoints(last == NULL ? order : last + 1);
    }
}

/* The same every time for a seed (an LCG of Knuth's), whatever else is drawn in the process. */
static uint64_t
draw(uint64_t *state, uint64_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*state >> 33) % below;
}

static void
work(struct owner *owner, uint64_t *seed)
{
    const uint64_t rounds = 1 + draw(seed, 6);

    if (!owner_claim(owner))
        return;
    for (uint64_t i = 0; i < rounds && !ending; i++) {
        listen_to_driver();
        if (!owner_settle(owner, (int64_t)(1 + draw(seed, 6))))
            return;
    }
}

static void
prepare(struct campaign *campaign, int32_t shards)
{
    int64_t serial;
    struct err why;

    campaign->store = store_open(campaign->config, campaign->name, &why);
    if (campaign->store != NULL && store_layout(campaign->store, campaign->config, shards, &why) &&
        store_policy(campaign->store, campaign->config, false, false, &serial, &why))
        return;
    /* Cut at once: everything after this opens it again. */
    if (why.class == ERR_RETRY) {
        say("later");
        return;
    }
    printf("broken start: %s\n", why.text);
    exit(3); /* NOLINT(concurrency-mt-unsafe) */
}

int
main(int argc, char **argv)
{
    static struct metric_set metrics;
    static struct owner owners[SHARD_LIMIT];
    struct findings findings = {0};
    struct policy *policy = NULL;

    if (argc != 7)
        return 2;
    struct config *const config = config_load(argv[1], &policy, &findings);
    const int32_t shards = (int32_t)strtol(argv[3], NULL, 10);
    uint64_t seed = strtoull(argv[6], NULL, 10);

    if (config == NULL || shards < 1 || shards > SHARD_LIMIT) {
        fprintf(stderr, "%s\n", findings.count > 0 ? findings.at[0].text : "how many shards?");
        return 2;
    }
    struct campaign campaign = {.config = config,
                                .policy = policy,
                                .name = argv[5],
                                .decoder = decoder_new(),
                                .metrics = &metrics,
                                .listen = listen_to_driver};

    policy->serial = 1;
    config->dedupe.records = strtoll(argv[4], NULL, 10);
    identity_seed((uint64_t)getpid());
    for (int32_t i = 0; i < shards; i++) {
        owners[i].campaign = &campaign;
        fake_log_open(&owners[i].log, argv[2], i);
    }
    prepare(&campaign, shards);
    while (!ending) {
        listen_to_driver();
        work(&owners[draw(&seed, (uint64_t)shards)], &seed);
    }
    for (int32_t i = 0; i < shards; i++) {
        owner_drop(&owners[i]);
        fake_log_close(&owners[i].log);
    }
    store_close(campaign.store);
    decoder_free(campaign.decoder);
    return 0;
}
