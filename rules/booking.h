/*
 * What an event books: the counts and the money it adds, and the rows it adds them to.
 *
 * A book is the open settlement with the indexes that find its rows; it is emptied with the
 * settlement it belongs to.  A booking touches the fact row of the tenant, that of the key when one
 * is named, and the period totals of tenant and declared project: all of them or, when one would
 * overflow, none.  Totals in memory are added to alone; their rows follow when the book is complete.
 */
#ifndef RULES_BOOKING_H
#define RULES_BOOKING_H

#include "core/event.h"
#include "core/settlement.h"
#include "rules/lookup.h"
#include "rules/tenant.h"

struct book {
    struct settlement *settlement;
    struct table facts;
    struct table key_facts;
    struct table periods;
    struct table adjustments;
    size_t fact;     /* index of the fact row booked last */
    uint64_t number; /* of the settlement, from 1, never again in this shard's life */
};

bool book_init(struct book *book, size_t topic_count, size_t memory_limit);
void book_free(struct book *book);
/* Empties it for settlement `number`; progress goes on from `from`. */
void book_open(struct book *book, uint64_t number, const struct progress *from);

/* Which count a usage adds to; requests go by rules of their own. */
#define USAGE_COUNTS (USAGE_COUNT - 1)
struct usage_count {
    enum usage usage;
    enum count count;
};
extern const struct usage_count usage_counts[USAGE_COUNTS];

struct booking {
    struct amounts amounts;
    bool unpriced;
    int64_t price_version; /* of the price lists that made cost and charge; PRICE_NONE: none did */
    int64_t charge_version;
    struct text project; /* as booked: declared, as given where none are declared, or unassigned */
    bool own_project;    /* it is the event's own */
    int32_t project_index; /* -1: not a declared one */
    bool project_unknown;  /* named, but not among the declared ones */
    int32_t period_index;  /* into the tenant's periods; -1: a past one */
    struct period period;
    bool adjusts;          /* its own period is closed: booked in the present one as money only */
    struct period service; /* that period */
    int64_t hour_ms;
};

/* What the event is worth to this tenant, before anything is added. `unverified`: nobody can tell
 * whether it was counted before, or what it gives back. `closed_ms`: periods that ended at or before
 * this are not booked in any more. */
void booking_of(struct booking *booking, const struct event *event, struct tenant *tenant,
                const struct policy *policy, bool unverified, int64_t closed_ms);

enum booked { BOOKED, BOOKED_OVERFLOW, BOOKED_NO_MEMORY };
enum booked book_event(struct book *book, struct tenant *tenant, const struct event *event,
                       const struct lookup *lookup, const struct booking *booking);
/* The row of a total that is held, or those of all that a tenant holds, get what was booked: before
 * totals leave, are made anew or are set right, and when the settlement is frozen. */
void book_complete(struct book *book, struct totals *held);
void book_complete_all(struct book *book, struct tenant *tenant);
/* Asks for the memory that an event of this tenant will probably need. */
void book_foresee_tenant(const struct tenant *tenant);
void book_foresee_places(const struct book *book, const struct tenant *tenant,
                         const struct lookup *lookup);
void book_foresee_rows(const struct book *book, const struct tenant *tenant,
                       const struct lookup *lookup);

#endif
