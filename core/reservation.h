/*
 * A reservation as it is followed (rules/reservation.h): its states, and what is said of one that is late.
 */
#ifndef CORE_RESERVATION_H
#define CORE_RESERVATION_H

#include "core/event.h"

enum reservation_state {
    RESERVATION_OPEN,
    RESERVATION_LATE,  /* open beyond twice its time */
    RESERVATION_EARLY, /* settled or released before it was made */
    RESERVATION_SETTLED,
    RESERVATION_RELEASED,
    RESERVATION_GIVEN_UP,
    RESERVATION_GONE, /* its row is deleted */
    RESERVATION_STATE_COUNT
};
extern const char *const reservation_state_names[RESERVATION_STATE_COUNT];

struct reservation {
    enum reservation_state state;
    int64_t made_ms; /* shard time; of an early one: of what settled it */
    int64_t due_ms;  /* when it is late, given up or forgotten, by its state */
    bool has_cost;
    struct money cost;
    char id[EVENT_ID_LIMIT + 1];
    char feature[EVENT_ID_LIMIT + 1];  /* empty: not said */
    char currency[EVENT_ID_LIMIT + 1]; /* of cost */
};

/* What is said of an open one when it becomes late. Returns out. */
#define RESERVATION_TEXT_SIZE (3 * EVENT_ID_LIMIT + 256)
const char *reservation_tell(const struct reservation *one, char out[RESERVATION_TEXT_SIZE]);

#endif
