/*
 * One usage event: what a gateway says happened (SEMANTICS: schemas/usage-event.v1.json).
 *
 * A flat struct of every member the engine knows, whatever the kind; absent texts have a NULL
 * pointer, absent numbers their bit in `has` clear (missing is not zero).  Texts point into the
 * decoder's memory and die at its next record.
 */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include "core/money.h"

enum event_kind {
    EVENT_RECORD,
    EVENT_RESERVE,
    EVENT_SETTLE,
    EVENT_RELEASE,
    EVENT_REFUND,
    EVENT_CORRECT,
    EVENT_DECISION,
    EVENT_TOPUP,
    EVENT_GAUGE,
    EVENT_VALUE,
    EVENT_KIND_COUNT
};
extern const char *const event_kind_names[EVENT_KIND_COUNT]; /* "record", ... as in the type */

enum event_status {
    STATUS_SUCCEEDED, /* also when the event does not say */
    STATUS_FAILED,
    STATUS_CANCELLED,
    STATUS_PARTIAL,
    STATUS_COUNT
};
extern const char *const event_status_names[STATUS_COUNT];

/* Members of data.usage. requests defaults to 1 on record and settle, everything else to absent. */
enum usage {
    USAGE_REQUESTS,
    USAGE_INPUT_TOKENS,
    USAGE_CACHE_READ_TOKENS,
    USAGE_CACHE_WRITE_TOKENS,
    USAGE_OUTPUT_TOKENS,
    USAGE_REASONING_TOKENS,
    USAGE_IMAGES,
    USAGE_AUDIO_MS,
    USAGE_BYTES,
    USAGE_COUNT
};
extern const char *const usage_names[USAGE_COUNT];

#define EVENT_ID_LIMIT     128 /* bytes: id, subject, and every name below */
#define EVENT_SOURCE_LIMIT 256 /* bytes */
#define EVENT_GAUGE_LIMIT  16

/* Members of data that are texts used by the engine; in the order of event_name_members. */
enum event_name {
    NAME_REQUEST_ID,
    NAME_FEATURE,
    NAME_PROJECT,
    NAME_WORKSPACE,
    NAME_API_KEY_ID,
    NAME_USER,
    NAME_CLIENT_IP,
    NAME_REGION,
    NAME_ROUTE,
    NAME_PLAN,
    NAME_PROVIDER,
    NAME_MODEL,
    NAME_MODEL_REQUESTED,
    NAME_OPERATION,
    NAME_CURRENCY,
    NAME_COUNT
};
extern const char *const event_name_members[NAME_COUNT]; /* "request_id", ... */

enum event_flag {
    EVENT_HAS_COST = 1 << 0,
    EVENT_ESTIMATED = 1 << 1, /* the gateway guessed the counts */
    EVENT_STREAM = 1 << 2,
    EVENT_CLAMPED = 1 << 3, /* a subset was larger than its whole */
    EVENT_FINAL = 1 << 4,   /* settle: closes its reservation (default) */
};

struct event_gauge {
    struct text name;
    int64_t value;
};

struct event {
    enum event_kind kind;
    enum event_status status;
    unsigned flags; /* of enum event_flag */
    unsigned has;   /* bit u: usage[u] was given */
    int64_t at_ms;  /* `time`: when the usage happened */
    struct text id;
    struct text source;
    struct text tenant; /* `subject` */
    struct text names[NAME_COUNT];
    int64_t usage[USAGE_COUNT]; /* 0 where absent; requests 1 where record and settle say nothing */
    struct money cost;          /* with EVENT_HAS_COST; reserve: data.reservation.cost */
    int32_t attempt;            /* 1..255, 1 when absent */
    int32_t http_status;        /* 0 when absent */
    int64_t latency_ms;         /* -1 when absent */
    int64_t sequence;           /* per source; -1 when absent */
    struct {                    /* refund_of, supersedes */
        struct text id;
        struct text source; /* absent: this event's own */
        int64_t at_ms;      /* -1 when absent */
    } refers;
    struct {
        struct text id;
        struct text reason;
        int64_t tokens;     /* -1 when absent */
        int64_t expires_ms; /* -1 when absent */
    } reservation;
    struct {
        struct text outcome; /* allow, throttle, downgrade, block */
        struct text reason;
        struct text policy;
        struct text model_to;
        struct money estimated_cost; /* meaningful with has_estimate */
        bool has_estimate;
    } decision;
    struct {
        struct money amount;
        struct text ref;
    } topup;
    struct text value_name;
    struct text body; /* `data` as minified JSON, for the kinds that are kept whole (all but record,
                         settle and refund); absent otherwise */
    size_t gauge_count;
    struct event_gauge gauges[EVENT_GAUGE_LIMIT]; /* behind gauge_count of them: anything */
};

enum dead_reason {
#define DEAD(name, retryable, what) DEAD_##name,
#include "core/dead.def"
#undef DEAD
    DEAD_COUNT
};
extern const char *const dead_names[DEAD_COUNT];
extern const char *const dead_texts[DEAD_COUNT];
extern const bool dead_retryable[DEAD_COUNT];

#define DEAD_DETAIL_SIZE 160
/* Why one event is refused. The detail names the member and what is wrong with it, never its
 * value when that could be a secret: at most 40 bytes of it, escaped. */
struct dead {
    enum dead_reason reason;
    char detail[DEAD_DETAIL_SIZE];
};

#endif
