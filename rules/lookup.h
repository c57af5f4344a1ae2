/*
 * What an event is looked up by: hashes of its names, and where they lead.
 *
 * A pure function of the event, taken some events ahead of its turn (shard_foresee), so that the
 * memory it leads to is on its way when the turn comes.  Nothing depends on whether that was done.
 */
#ifndef RULES_LOOKUP_H
#define RULES_LOOKUP_H

#include "core/event.h"
#include "core/identity.h"

struct lookup {
    struct key128 tenant;
    struct key128 identity; /* tenant, source and id */
    uint32_t content;       /* what a repeat must say again to be a repeat */
    struct key128 project;
    struct key128 feature;
    struct key128 model;
    struct key128 served; /* feature, provider and model */
    struct key128 key;    /* the API key */
};

void lookup_of(struct lookup *lookup, const struct event *event);

#endif
