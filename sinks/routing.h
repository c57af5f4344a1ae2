/*
 * Who is told what: the decisions of routing, without SQL.
 */
#ifndef SINKS_ROUTING_H
#define SINKS_ROUTING_H

#include "config/config.h"
#include "sinks/message.h"

/* What an endpoint has heard of an episode so far. */
struct heard {
    bool any;     /* a message was made for it */
    bool told;    /* one was delivered, or is under way */
    bool waiting; /* one waits for its first or next attempt */
};

enum routing_word {
    ROUTE_NOTHING, /* not this endpoint's business */
    ROUTE_SEND,
    ROUTE_MISSED,   /* what waits is superseded by one message that tells beginning and end */
    ROUTE_FORGET,   /* what waits is superseded, nothing is sent: too short to matter */
    ROUTE_SUPPRESS, /* it is recorded that nothing is sent, and why */
};

struct routing_case {
    enum move move;
    enum severity severity;
    enum resolved reason;
    bool restricted;   /* the episode restricted traffic at some time */
    int64_t lasted_ms; /* from firing to this transition */
    enum endpoint_kind kind;
    struct heard heard;
};

#define MISSED_MS (5 * INT64_C(60000)) /* shorter alerts that nobody heard of are forgotten */

/*
 * 1. Firing: webhooks hear everything, mail hears warning and above.
 * 2. Over: only who heard, or should have heard, of the firing; the first message is never
 *    "resolved".
 * 3. period_rollover: only for episodes that restricted traffic, or the 1st of a month would flood.
 * 4. Over before it was told: one "missed" message if it lasted or restricted traffic, else none.
 */
enum routing_word routing_decide(const struct routing_case *row);

/* The receiver of a rule: tenants' money to alerts.tenant_alerts, all else to alerts.engine_alerts.
 * NULL when the configuration has none. */
const struct receiver *routing_receiver(const struct config *config, struct text rule);

/* {rule="quota/api_calls",tenant="acme"}: messages of one group keep their order. False when it
 * does not fit. */
#define GROUP_KEY_SIZE 1024
bool routing_group(const struct transition *transition, char out[GROUP_KEY_SIZE]);

#endif
