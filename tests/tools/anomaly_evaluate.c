/*
 * What the engine's rules make of given traffic: widths by volume, evidence, the gates in money, folding,
 * one alert a tenant or feature, the cap of pages.
 *
 *   anomaly_evaluate PRICE < series
 *
 * A line of input is a series: tenant, feature, then the requests of each 10 minutes from Monday
 * 2026-01-05 00:00 UTC on; lines of one tenant stand together and are equally long.  Every request
 * costs PRICE dollars; half of a row falls in each of its two slots.  What comes out, times in seconds
 * since the beginning ("-": the tenant's own):
 *
 *   note TENANT FEATURE METRIC since at tier folded   an incident, each time it moved
 *   alert TENANT FEATURE RULE move step at            what people are told
 */
#include "config/config.h"
#include "config/zones.h"
#include "core/identity.h"
#include "rules/anomaly.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS_LIMIT = 4032, FEATURES_LIMIT = 64, NAME_SIZE = 64 };

#define START_MS      INT64_C(1767571200000)
#define SETTLE_MEMORY ((size_t)64 << 20)

struct traffic {
    char feature[NAME_SIZE];
    uint32_t requests[ROWS_LIMIT];
};

static struct {
    char tenant[NAME_SIZE];
    size_t count; /* of series */
    size_t rows;
    struct traffic at[FEATURES_LIMIT];
} input;

static struct shard *shard;
static const struct policy *policy;
static tally price;

static void
fail(const char *what)
{
    fprintf(stderr, "anomaly_evaluate: %s\n", what);
    abort();
}

/* ---- what comes out --------------------------------------------------------------------------------- */

static int64_t
seconds(int64_t at_ms)
{
    return (at_ms - START_MS) / CLOCK_SECOND_MS;
}

static const char *
or_dash(struct text text, char out[NAME_SIZE])
{
    (void)text_copy(out, NAME_SIZE, text.size == 0 ? TEXT("-") : text);
    return out;
}

static void
print(const struct settlement *settlement)
{
    static const char *const moves[] = {
        [MOVE_FIRE] = "fires", [MOVE_STEP] = "rises", [MOVE_RESOLVE] = "resolves"};
    char feature[NAME_SIZE];
    char other[NAME_SIZE];

    for (size_t i = 0; i < settlement->notes.count; i++) {
        const struct anomaly_note *note = list_at(&settlement->notes, i);

        printf("note %s %s %s %" PRId64 " %" PRId64 " %s %s\n", input.tenant,
               or_dash(note->feature, feature), watch_metric_names[note->metric],
               seconds(note->since_ms), seconds(note->at_ms), watch_tier_names[note->tier],
               or_dash(note->folded, other));
    }
    for (size_t i = 0; i < settlement->transitions.count; i++) {
        const struct transition *alert = list_at(&settlement->transitions, i);

        printf("alert %s %s %s %s %d %" PRId64 "\n", input.tenant,
               or_dash(alert->labels[LABEL_FEATURE], feature), or_dash(alert->rule, other),
               moves[alert->move], (int)alert->step, seconds(alert->at_ms));
    }
}

static void
settle(void)
{
    const struct settlement *settlement = shard_freeze(shard);

    if (settlement == NULL)
        return;
    print(settlement);
    shard_settled(shard, NULL, 0);
}

/* ---- what is played --------------------------------------------------------------------------------- */

static void
begin(void)
{
    const struct progress progress = {.last_offset = -1};
    const struct tenant_load load = {
        .name = text_of(input.tenant), .known = true, .zone = zone_utc(), .has_features = true};

    shard_begin(shard, &(struct shard_start){.epoch = 1,
                                             .time_ms = START_MS,
                                             .progress = &progress,
                                             .policy = policy,
                                             .enforcing = true});
    if (!shard_load(shard, &load))
        fail("no memory");
}

static struct tenant *
the_tenant(void)
{
    struct key128 id;
    struct tenant *tenant = shard_find(shard, text_of(input.tenant), &id);

    if (tenant == NULL || tenant->features == NULL)
        fail("the tenant is not followed");
    return tenant;
}

static void
use(struct tenant *tenant, const struct traffic *traffic, int64_t at_ms, uint32_t requests)
{
    struct feature *feature = feature_made(tenant->features, text_of(traffic->feature), policy);

    slots_advance(&feature->slots, shard->time_ms);
    struct slot *slot = slots_at(&feature->slots, at_ms);

    slot->cost += price * requests;
    slot->requests += requests;
    slot->attempts += requests;
    anomaly_used(shard, tenant, feature, slot);
}

static void
pass_to(int64_t now_ms)
{
    while (!shard_advance(shard, now_ms))
        settle();
    anomaly_look(shard, the_tenant());
}

static void
play(void)
{
    begin();
    for (size_t i = 0; i < 2 * input.rows; i++) {
        const int64_t at_ms = START_MS + (int64_t)i * SLOT_MS;

        /* The slot before this one is taken a minute after its end. */
        pass_to(at_ms + ANOMALY_GRACE_MS);
        for (size_t s = 0; s < input.count; s++) {
            const uint32_t row = input.at[s].requests[i / 2];
            const uint32_t requests = i % 2 == 0 ? row / 2 : row - row / 2;

            if (requests > 0)
                use(the_tenant(), &input.at[s], at_ms, requests);
        }
        settle();
    }
    pass_to(START_MS + (int64_t)(2 * input.rows) * SLOT_MS + ANOMALY_GRACE_MS);
    settle();
}

/* ---- what comes in ---------------------------------------------------------------------------------- */

/* The name at the beginning; what is behind it is returned. */
static char *
take_name(char *line, char out[NAME_SIZE])
{
    const size_t size = strcspn(line, " \n");

    if (size == 0 || size >= NAME_SIZE || line[size] != ' ')
        fail("a line is a tenant, a feature and numbers");
    (void)text_copy(out, NAME_SIZE, (struct text){line, size});
    return line + size + 1;
}

static void
read_line(char *line)
{
    char tenant[NAME_SIZE];
    char *at = take_name(line, tenant);
    size_t rows = 0;

    if (input.count > 0 && strcmp(tenant, input.tenant) != 0) {
        play();
        input.count = 0;
    }
    if (input.count == FEATURES_LIMIT)
        fail("too many features of a tenant");
    (void)text_copy(input.tenant, sizeof input.tenant, text_of(tenant));
    struct traffic *traffic = &input.at[input.count++];

    at = take_name(at, traffic->feature);
    for (char *end = at; rows < ROWS_LIMIT; at = end, rows++) {
        const unsigned long value = strtoul(at, &end, 10);

        if (end == at)
            break;
        traffic->requests[rows] = (uint32_t)value;
    }
    if (input.count > 1 && rows != input.rows)
        fail("series of one tenant are equally long");
    input.rows = rows;
}

int
main(int argc, char **argv)
{
    static const char body[] = "fallback_plan: free\nplans: {free: {quotas: {}}}\nanomalies:\n";
    static struct metric_set metrics;
    struct findings findings = {.count = 0};
    char *line = NULL;
    size_t room = 0;

    identity_seed(1);
    policy = policy_load("policy", body, sizeof body - 1, &findings);
    if (argc != 2 || policy == NULL || !tally_parse_money(text_of(argv[1]), &price))
        fail("usage: anomaly_evaluate PRICE < series");
    shard = shard_new(&(struct shard_setup){.topic_count = 1,
                                            .topics = (const char *const[]){"usage"},
                                            .settle_memory = SETTLE_MEMORY,
                                            .tenant_limit = 1,
                                            .metrics = &metrics});
    if (shard == NULL)
        fail("no memory");
    while (getline(&line, &room, stdin) > 0)
        read_line(line);
    if (input.count > 0)
        play();
    free(line);
    shard_free(shard);
    return 0;
}
