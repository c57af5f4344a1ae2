/*
 * The engine's configuration: read from YAML, checked whole, immutable afterwards.
 *
 * keys.def has a row a key: path, type, default, range, help; `tripmeter check` reports every error
 * at once with file:line:column and a suggestion for misspelt keys.  Secrets may be given as
 * `${ENVIRONMENT_VARIABLE}` or as a file (`password_file:`) and never appear in any output.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "config/findings.h"
#include "core/alert.h"
#include "core/err.h"

#define TOPIC_LIMIT    32
#define RECEIVER_LIMIT 32
#define ENDPOINT_LIMIT 16

struct property { /* passed through to librdkafka: "security.protocol": "SASL_SSL" */
    const char *name;
    const char *value;
};

enum time_source { TIME_APPEND, TIME_TRUST_PRODUCERS };

enum smtp_tls { SMTP_OFF, SMTP_STARTTLS, SMTP_IMPLICIT }; /* none falls back to clear text */

enum endpoint_kind { ENDPOINT_WEBHOOK, ENDPOINT_EMAIL };

struct endpoint {
    enum endpoint_kind kind;
    const char *name;   /* "billing/webhook/0": receiver, kind, index; its identity in Postgres */
    const char *target; /* URL, or e-mail address (one endpoint a recipient) */
    const char *secret; /* webhook signing key as given ("whsec_..."), or NULL */
    const char *old_secret; /* while keys rotate, or NULL */
};

struct receiver { /* engineering, billing */
    const char *name;
    struct endpoint *endpoints;
    size_t endpoint_count;
};

struct config {
    struct arena *arena;  /* owns everything below */
    const char *path;     /* the file it came from */
    const char *instance; /* configured name or NULL: a random id kept in state_dir */
    const char *state_dir;
    int workers; /* 0: auto (cores - 1, at least 1) */
    struct {
        const char *brokers;
        const char *group;
        const char *topics[TOPIC_LIMIT];
        size_t topic_count;
        const char *control_topic;
        const char *dead_letter_topic; /* NULL: none */
        bool create_topics;            /* control and dead-letter topics may be created */
        int replication;               /* of created ones; -1: the broker's default */
        enum time_source time;
        int64_t gap_max; /* offsets in one gap before the partition halts */
        struct property *properties;
        size_t property_count;
    } kafka;
    struct {
        const char *url;    /* libpq connection string or URI */
        const char *schema; /* "tripmeter" */
    } postgres;
    struct {
        int64_t interval_ms; /* settle_interval */
        size_t memory;       /* settle_memory, bytes, per shard */
    } settle;
    struct {
        bool on;
        int64_t window_ms;
        int64_t records;
    } dedupe;
    struct {
        int64_t entries;
    } burst;
    struct {
        bool on;
        int64_t keep_ms; /* whole days */
        int64_t keep_gb; /* 0: whatever it takes */
    } record;            /* of settled events */
    struct {
        size_t park_memory; /* bytes of events waiting for their tenant, a worker */
        bool keep_dead_payload;
        bool halt_on_dead; /* the 50 % rule */
    } ingest;
    struct {
        struct receiver receivers[RECEIVER_LIMIT];
        size_t receiver_count;
        const char *tenant_alerts; /* receiver of quotas and balances: "billing" */
        const char *engine_alerts; /* receiver of breaker, ingest, engine: "engineering" */
        bool allow_http;           /* webhooks without TLS */
        bool allow_private;        /* webhooks to loopback, private, link-local addresses */
        const char *link;          /* base URL of the status page in messages, or NULL */
        int64_t group_wait_ms;
    } alerts;
    struct {
        const char *host; /* NULL: no mail */
        int port;
        const char *from;
        enum smtp_tls tls;
        const char *user; /* NULL: no AUTH */
        const char *password;
        const char *ca_file; /* NULL: the system's */
    } smtp;
    struct {
        const char *listen; /* "127.0.0.1" */
        int port;           /* 0: any free one (logged) */
    } status;
    struct {
        bool json;
        int level; /* 0 error, 1 warning, 2 info, 3 debug */
    } log;
    int64_t clock_offset_ms; /* accepted only with time: trust_producers */
    const char *policy_path;
    const char *policy_body; /* the bytes of that file */
    size_t policy_size;
    unsigned char policy_hash[32]; /* SHA-256 of the body */
};

struct policy; /* rules/policy.h */

/* Reads and checks the configuration and the policy it names. NULL when there was any error;
 * findings (zeroed by the caller) has them all, in the order of the files, and warnings also when it
 * succeeds. *policy gets the built policy (serial 0), or NULL with the configuration. */
struct config *config_load(const char *path, struct policy **policy, struct findings *findings);
/* The same for who can go by a policy stored in Postgres: errors of the policy and of its price lists
 * are told, but leave the configuration standing; *policy is NULL then. */
struct config *config_load_alone(const char *path, struct policy **policy,
                                 struct findings *findings);
void config_free(struct config *config);

/* The same from bytes; files it names are looked for beside `path`. */
struct config *config_parse(const char *path, struct text body, struct policy **policy,
                            struct findings *findings);

/* A policy from the bytes of its file (also one stored in Postgres); `file` names it in findings.
 * NULL when there was any error. */
struct policy *policy_load(const char *file, const char *body, size_t size,
                           struct findings *findings);

#endif
