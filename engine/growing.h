/*
 * Usage topics that grow while the engine runs: this engine's part in the protocol of
 * schemas/migrations/0017_growth.sql.
 *
 * Only engines that the group has given partitions beyond the layout take part.  Every second they
 * ask the broker how many partitions the topics have and let Postgres decide what follows; what is
 * agreed is there, so that nothing is lost with an engine.  The main thread's.
 */
#ifndef ENGINE_GROWING_H
#define ENGINE_GROWING_H

#include "sinks/store.h"

struct growing {
    const struct config *config;
    const char *client_id;
    int32_t partitions;    /* of the layout, as far as is known; 0: not yet */
    char waits[256];       /* what added partitions wait for; "": there are none */
    int64_t look_at_ms;    /* wall time of the next look */
    struct topics *topics; /* open while topics grow */
    struct store *store;
};

/* reach: more than the highest partition number that the group has given to this engine. True when
 * partitions or waits are others now; why.class is FATAL when the topics cannot grow so. */
bool growing_turn(struct growing *growing, int32_t reach, int64_t now_ms, struct err *why);
void growing_end(struct growing *growing);

#endif
