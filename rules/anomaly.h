/*
 * Anomalies: what a tenant and each of its features uses is followed by the detector, which speaks of
 * broken records and never blocks.  The inside of a shard, like rules/shard_state.h.
 *
 * A slot is taken a minute after its end, by shard time and in order: what comes later than that is
 * counted and judged, but not seen here.  It is taken when its tenant is next looked at, but before
 * anything that comes later; tenants with a window under way, or that were used within a day, are due
 * at its end.
 *
 * A record is a note, a row of table anomaly.  When its impact makes a ticket or a page of it, an alert
 * "anomaly/METRIC" fires: one a watch, whatever other series of it break theirs; of the feature alone
 * when it makes most of the tenant's; and after three pages of a tenant in six hours one alert,
 * "anomaly/incident", for all further ones.
 *
 * WATCH_LIMIT features of a tenant are followed, the first that are seen; what others use is in the
 * tenant's own series.  Who was silent for WATCH_SILENT_DAYS is forgotten, and begins anew when it comes
 * back; Postgres forgets tenants that are not in memory later than that (tripmeter.maintain), so that
 * it makes no difference who was.
 */
#ifndef RULES_ANOMALY_H
#define RULES_ANOMALY_H

#include "core/watch.h"
#include "rules/feature.h"
#include "rules/reservation.h"
#include "rules/shard_state.h"

#define WATCH_LIMIT      64
#define ANOMALY_GRACE_MS CLOCK_MINUTE_MS

/* ---- kept with the features --------------------------------------------------------------------- */
/* As loaded; aborts when memory is short. */
void anomalies_recall(struct features *features, const struct tenant_load *load,
                      const struct policy *policy);
void anomalies_free(struct features *features);
/* Where slots without a feature go; NULL: nowhere. */
struct feature *anomalies_rest(const struct features *features);

/* ---- judged --------------------------------------------------------------------------------------- */
/* Takes what is over by shard time. To be asked before anything else touches a slot of the tenant. */
void anomaly_turn(struct shard *shard, struct tenant *tenant);
static inline void
anomaly_look(struct shard *shard, struct tenant *tenant)
{
    const struct features *features = tenant->features;

    if (features == NULL || features->anomalies == NULL)
        return;
    if (shard->time_ms >= features->anomalies->turn_ms)
        anomaly_turn(shard, tenant);
    reservations_turn(shard, tenant);
}
/* An event was added to a slot of a feature, or of the rest. */
void anomaly_used(struct shard *shard, struct tenant *tenant, struct feature *feature,
                  const struct slot *slot);
/* When windows are to be closed, or reservations to be told of, without any event. */
int64_t anomaly_next(const struct tenant *tenant);
/* An alert of it is open: whoever owns the shard must hold the tenant, to end it. */
bool anomaly_tells(const struct tenant *tenant);
/* As the policy has it now: begins, or ends what is open. */
void anomaly_bind(struct shard *shard, struct tenant *tenant, bool on);

/* ---- rules/anomaly_tell.c: notes and alerts ------------------------------------------------------- */
/* The tenant (feature NULL) or one of its features. */
struct scope {
    struct tenant *tenant;
    struct feature *feature;
    struct watch *watch;
};
/* A window of the scope has closed. True: an incident moved. */
bool anomaly_judge(struct shard *shard, const struct scope *scope,
                   const struct watch_window *window);
/* A hard limit of the tenant on what the series counts (WATCH_METRIC_COUNT: on anything), which the present period will pass as it goes
 * (rules/anomaly_limit.c); false: there is none, or not one that is not reached yet. */
bool anomaly_passes(const struct tenant *tenant, enum watch_metric metric, int64_t at_ms,
                    struct watch_limit *out);
/* The same by rules that need no evidence (rules/anomaly_rules.c). */
bool anomaly_rules(struct shard *shard, const struct scope *scope,
                   const struct watch_window *window);
void anomaly_rules_end(struct shard *shard, const struct scope *scope, enum resolved reason);
/* Whatever is told ends, for this reason. */
void anomaly_end(struct shard *shard, const struct scope *scope, enum resolved reason);
/* The watch goes to the open settlement. */
void anomaly_write(struct shard *shard, const struct scope *scope);
/* What is stored of it goes. */
void anomaly_erase(struct shard *shard, const struct scope *scope);

#endif
