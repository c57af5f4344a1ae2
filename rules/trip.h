/*
 * When the breaker of a feature speaks, and what comes of it: restrictions, alerts, rows.
 * The inside of a shard, like rules/shard_state.h.
 */
#ifndef RULES_TRIP_H
#define RULES_TRIP_H

#include "rules/feature.h"
#include "rules/shard_state.h"

#define TRIP_LATE_MS (15 * CLOCK_MINUTE_MS) /* what is older on arrival blocks nothing */

/* An event was booked: its feature spends. */
void trip_event(struct shard *shard, struct tenant *tenant, const struct event *event,
                const struct booking *booking);
/* What the usage of a past hour costs is known now: the hour is not what anybody saw in it. */
void trip_corrected(struct shard *shard, struct tenant *tenant, const struct event *event,
                    const struct booking *booking);
/* Breakers that are due are judged. */
void trip_due(struct shard *shard, struct tenant *tenant);
/* All of them, as after a load, another policy or zone: what they restrict is wanted. */
void trip_all(struct shard *shard, struct tenant *tenant);
/* The policy has no breakers any more: they come to rest. */
void trip_removed(struct shard *shard, struct tenant *tenant);
/* The rows of a slot and of an hour, `learned` of which no facts tell. */
void trip_write_slot(struct shard *shard, const struct tenant *tenant, struct feature *feature,
                     const struct slot *slot);
void trip_write_hour(struct shard *shard, const struct tenant *tenant,
                     const struct feature *feature, const struct hour_sample *sample,
                     tally learned);
void trip_write_breaker(struct shard *shard, struct tenant *tenant, struct feature *feature);
/* What a breaker did, which was `before`: as a row, and as an alert. */
void trip_write_move(struct shard *shard, const struct tenant *tenant,
                     const struct feature *feature, const struct breaker *before,
                     struct text trigger);
void trip_tell(struct shard *shard, const struct tenant *tenant, const struct feature *feature,
               const struct breaker *before, const struct breaker_view *view);
void trip_tell_storm(struct shard *shard, const struct tenant *tenant, enum move move);
/* Of a past hour that turned out dear. */
void trip_tell_late(struct shard *shard, const struct tenant *tenant, const struct feature *feature,
                    const struct hour_sample *sample);
/* The sample of the hour that an instant lies in; NULL when that is too long ago. */
struct hour_sample *trip_sample(struct shard *shard, const struct tenant *tenant,
                                struct feature *feature, int64_t at_ms);
/* A feature that a tenant has no room for. */
void trip_full(struct shard *shard, const struct tenant *tenant);
/* The breaker is judged by what is in the view, and what follows from that follows. */
void trip_judge(struct shard *shard, struct tenant *tenant, struct feature *feature,
                struct breaker_view *view, struct text trigger);
/* The earliest deadline of a breaker, and whether any restricts or alarms. */
int64_t trip_next(const struct tenant *tenant, bool *restricted);

#endif
