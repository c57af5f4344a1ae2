/*
 * What a message says.
 *
 * One alert transition becomes the body of a webhook (schemas/alert.v1.json: a type, a timestamp,
 * and the members of an Alertmanager version-4 message) or an e-mail that answers, in this order:
 * what, value against limit, since when, what is blocked, when it resets, who causes it, what to do.
 * Nothing here asks a server or a clock; the same view always gives the same bytes.
 */
#ifndef SINKS_MESSAGE_H
#define SINKS_MESSAGE_H

#include "core/alert.h"
#include "core/zone.h"
#include "sinks/writer.h"

enum message_kind {
    MESSAGE_FIRING,
    MESSAGE_RESOLVED,
    MESSAGE_MISSED, /* fired and over before anybody could be told */
    MESSAGE_KIND_COUNT
};
extern const char *const message_kind_names[MESSAGE_KIND_COUNT];

#define TOP_LIMIT 3

/* Part of a tenant's usage in the period. */
struct share {
    struct text name; /* "" : the events named none */
    tally amount;     /* as the value: nano-units or a count */
};

struct top {
    struct share at[TOP_LIMIT]; /* the largest first */
    size_t count;
    tally total; /* of all, named or not */
};

/* Everything that a message can say about a transition. */
struct alert_view {
    enum message_kind kind;
    struct transition transition; /* for MESSAGE_MISSED: the resolving one */
    struct text fingerprint;
    int64_t episode;
    int64_t seq;
    int64_t since_ms;        /* when the episode fired */
    bool restricted;         /* it restricted traffic at some time */
    const struct zone *zone; /* the tenant's, for times; never NULL */
    struct top features;
    struct top projects;
    const char *receiver; /* webhook: whose endpoint it goes to, and its group */
    const char *group_key;
    const char *link; /* base URL of the status page, or NULL */
};

struct message {
    struct text subject; /* e-mail only, as is html */
    struct text body;
    struct text html;
};

#define SUMMARY_SIZE 512

/* One line: the transition's own summary, or one made from its members. Returns out. */
const char *message_summary(const struct alert_view *view, char out[SUMMARY_SIZE]);

/* Texts live in the arena; RETRY when it is full. */
bool message_mail(const struct alert_view *view, struct arena *arena, struct message *out,
                  struct err *why);
bool message_webhook(const struct alert_view *view, struct arena *arena, struct message *out,
                     struct err *why);

/* ---- shared by the two formats (words.c) ------------------------------------------------------- */

#define AMOUNT_SIZE 160
/* "45,000" or "31.64": digits grouped; money cut, never rounded up, to cents. Returns out. */
const char *words_amount(tally amount, bool is_money, char out[AMOUNT_SIZE]);
/* The kind of a rule: "quota" of "quota/api_calls"; and the name behind it. */
struct text words_rule_kind(struct text rule);
struct text words_rule_name(struct text rule);
bool words_is(const struct transition *transition, const char *kind);
/* "acme", "acme / web": whose alert it is; "tripmeter" for those of no tenant. Returns out. */
#define WHO_SIZE 320
const char *words_who(const struct transition *transition, char out[WHO_SIZE]);
/* value*100/threshold, cut; 100 for a threshold of 0. */
int64_t words_percent(const struct transition *transition);
/* The step is what the value is compared with: there is no limit. */
bool words_unlimited(const struct transition *transition);
/* "45,000 of 50,000 requests"; of what has no limit "45,000 requests". A unit as people read it
 * ("input tokens"). */
void words_usage(struct writer *to, const struct transition *transition);
void words_unit(struct writer *to, struct text unit);
/* "the limit was raised" for RESOLVED_LIMIT_RAISED, ... */
const char *words_resolved(enum resolved reason);

#endif
