/* Most are of a UTC day, which is in their labels: raised again on the next one while they last, and
 * closed with the day, by function close_days in the server: no shard knows what the others met. */
#include "core/identity.h"
#include "rules/shard_state.h"

#include <stdlib.h>

#define PARTITION_SIZE 12 /* any int32 */

static int64_t
day_start(int64_t at_ms)
{
    return clock_day_of(at_ms) * CLOCK_DAY_MS;
}

/* Once a model and day, whoever says it; a full table says it again at most. */
static void
notice_model(struct shard *shard, const struct event *event, struct text rule, struct text summary)
{
    const int64_t day = day_start(shard->time_ms);
    const struct text names[] = {rule, event->names[NAME_PROVIDER], event->names[NAME_MODEL]};
    const struct key128 model = identity_texts((struct key128){0}, names, 3);
    char start[CLOCK_TEXT_SIZE];

    if (shard->unpriced_day != day) {
        table_clear(&shard->unpriced_models);
        shard->unpriced_day = day;
    }
    if (table_find(&shard->unpriced_models, model) != TABLE_NONE ||
        !table_put(&shard->unpriced_models, model, 0))
        return;
    struct transition transition = {.move = MOVE_FIRE,
                                    .rule = rule,
                                    .severity = SEVERITY_WARNING,
                                    .at_ms = shard->time_ms,
                                    .zone = TEXT("UTC"),
                                    .summary = summary};

    transition.labels[LABEL_PROVIDER] = names[1];
    transition.labels[LABEL_MODEL] = names[2];
    transition.labels[LABEL_PERIOD] = text_of(clock_format(day, start));
    shard_transition(shard, &transition);
}

void
notice_unpriced(struct shard *shard, const struct event *event)
{
    const bool says = (event->flags & EVENT_HAS_COST) != 0 || event->kind == EVENT_REFUND;

    notice_model(
        shard, event, TEXT("ingest/unpriced_model"),
        says ? TEXT("costs or refunds in a currency that the policy has no exchange rate for, or "
                    "refunds of what has no price: kept with amount 0 in table unpriced until "
                    "there is one")
             : TEXT("events without a cost: kept with amount 0 in table unpriced until priced"));
}

void
notice_zero_cost(struct shard *shard, const struct event *event)
{
    notice_model(shard, event, TEXT("ingest/zero_cost"),
                 TEXT("events say that they cost nothing, although their tokens have a price: "
                      "counted in zero_cost"));
}

void
notice_unknown_tenant(struct shard *shard)
{
    const int64_t day = day_start(shard->time_ms);
    char start[CLOCK_TEXT_SIZE];
    struct transition transition = {
        .move = MOVE_FIRE,
        .rule = TEXT("ingest/unknown_tenant"),
        .severity = SEVERITY_INFO,
        .at_ms = shard->time_ms,
        .zone = TEXT("UTC"),
        .summary = TEXT("events of tenants that are not known: judged by the fallback plan; "
                        "`tripmeter tenant list --unknown` names them")};

    if (shard->unknown_day == day)
        return;
    shard->unknown_day = day;
    transition.labels[LABEL_PERIOD] = text_of(clock_format(day, start));
    shard_transition(shard, &transition);
}

void
notice_unknown_project(struct shard *shard, struct tenant *tenant)
{
    char start[CLOCK_TEXT_SIZE];
    struct transition transition = {
        .move = MOVE_FIRE,
        .rule = TEXT("ingest/unknown_project"),
        .severity = SEVERITY_INFO,
        .at_ms = shard->time_ms,
        .zone = TEXT("UTC"),
        .summary = TEXT("events name a project the tenant does not have: booked as "
                        "\"unassigned\"")};
    const int64_t day = day_start(shard->time_ms);

    if (tenant->project_day == day)
        return;
    tenant->project_day = day;
    transition.labels[LABEL_TENANT] = tenant->name;
    transition.labels[LABEL_PERIOD] = text_of(clock_format(day, start));
    shard_transition(shard, &transition);
}

/* The decimal digits of a partition at the end of `out`. */
static const char *
partition_text(int32_t number, char out[PARTITION_SIZE])
{
    size_t at = PARTITION_SIZE - 1;

    out[at] = '\0';
    do
        out[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return out + at;
}

static void
raise_split(struct shard *shard, const struct tenant *tenant)
{
    static const char remedy[] = ", its home: all are counted, only those at home are judged; set "
                                 "partitioner=murmur2_random on every gateway";
    char here[PARTITION_SIZE];
    char there[PARTITION_SIZE];
    char summary[256];
    char start[CLOCK_TEXT_SIZE];
    size_t size = 0;
    const char *const words[] = {"events arrive in partition ",
                                 partition_text(shard->setup.shard, here), " and in partition ",
                                 partition_text(tenant->home, there), remedy};
    struct transition transition = {.move = MOVE_FIRE,
                                    .rule = TEXT("ingest/tenant_split"),
                                    .severity = SEVERITY_WARNING,
                                    .at_ms = shard->time_ms,
                                    .zone = TEXT("UTC")};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        size += text_copy(summary + size, sizeof summary - size, text_of(words[i]));
    transition.summary = (struct text){summary, size};
    transition.labels[LABEL_TENANT] = tenant->name;
    transition.labels[LABEL_PARTITION] = text_of(words[1]);
    transition.labels[LABEL_PERIOD] = text_of(clock_format(tenant->split_day, start));
    shard_transition(shard, &transition);
}

void
notice_split(struct shard *shard, struct tenant *tenant)
{
    const int64_t day = day_start(shard->time_ms);

    if (tenant->split_day == day)
        return;
    tenant->split_day = day;
    raise_split(shard, tenant);
}

static void
notice_dead(struct shard *shard, int32_t topic)
{
    struct transition transition = {
        .move = MOVE_FIRE,
        .rule = TEXT("ingest/dead_events"),
        .severity = SEVERITY_CRITICAL,
        .at_ms = shard->time_ms,
        .zone = TEXT("UTC"),
        .summary = TEXT("more than 1 % of the events of 5 minutes cannot be read; see "
                        "`tripmeter dead list`")};
    char start[CLOCK_TEXT_SIZE];

    transition.labels[LABEL_TOPIC] = text_of(shard->setup.topics[topic]);
    transition.labels[LABEL_PERIOD] = text_of(clock_format(day_start(shard->time_ms), start));
    shard_transition(shard, &transition);
}

/* The open alert is what keeps the partition halted over restarts. */
static void
notice_halted(struct shard *shard, int32_t topic, bool halted)
{
    char number[PARTITION_SIZE];
    struct transition transition = {
        .move = halted ? MOVE_FIRE : MOVE_RESOLVE,
        .reason = halted ? RESOLVED_NOT : RESOLVED_OPERATOR,
        .rule = TEXT("ingest/partition_halted"),
        .severity = SEVERITY_CRITICAL,
        .at_ms = shard->time_ms,
        .zone = TEXT("UTC"),
        .summary = TEXT("more than half of the events cannot be read: the partition is halted so "
                        "that nothing drains away; see `tripmeter dead list`, then `tripmeter dead "
                        "resume`")};

    transition.labels[LABEL_TOPIC] = text_of(shard->setup.topics[topic]);
    transition.labels[LABEL_PARTITION] = text_of(partition_text(shard->setup.shard, number));
    shard_transition(shard, &transition);
}

void
notice_resumed(struct shard *shard, int32_t topic)
{
    shard->topics[topic].halted = false;
    notice_halted(shard, topic, false);
}

void
notice_rate(struct shard *shard, int32_t topic, int64_t time_ms, bool dead)
{
    struct dead_rate *rate = &shard->topics[topic].rate;
    const int64_t minute = time_ms / CLOCK_MINUTE_MS;
    const size_t slot = (size_t)(minute % DEAD_MINUTES);
    int64_t events = 0;
    int64_t refused = 0;

    if (rate->minute[slot] != minute) {
        rate->minute[slot] = minute;
        rate->events[slot] = rate->dead[slot] = 0;
    }
    rate->events[slot]++;
    if (!dead)
        return;
    rate->dead[slot]++;
    for (size_t i = 0; i < DEAD_MINUTES; i++)
        if (minute - rate->minute[i] < DEAD_MINUTES) {
            events += rate->events[i];
            refused += rate->dead[i];
        }
    if (events >= 100 && refused * 100 > events && rate->alerted_day != day_start(shard->time_ms)) {
        rate->alerted_day = day_start(shard->time_ms);
        notice_dead(shard, topic);
    }
    if (shard->setup.halt_on_dead && events >= 200 && refused * 2 > events &&
        !shard->topics[topic].halted) {
        shard->topics[topic].halted = true;
        notice_halted(shard, topic, true);
    }
}
