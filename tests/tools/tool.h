/*
 * What the commands of kafka_tool share.  A command is a function that gets its words without
 * options, reports trouble on stderr and returns the exit status.
 */
#ifndef TESTS_TOOLS_TOOL_H
#define TESTS_TOOLS_TOOL_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

enum { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_USAGE = 2 };

struct words {
    int count;
    char **word;
};

/* Removes the option from the words.  take_value answers fallback when it is not there. */
bool take_flag(struct words *words, const char *name);
const char *take_value(struct words *words, const char *name, const char *fallback);

/* One word is left when the options are taken, else a message naming what is too much. */
bool only_word(const struct words *words);

/* A whole number from low to high, else a message naming what it is and false. */
bool parse_number(const char *text, const char *what, int64_t low, int64_t high, int64_t *out);

struct target {
    const char *bootstrap;
    struct words properties; /* name=value, for librdkafka */
};

int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* librdkafka's handle with the target's settings; conf is taken over.  NULL after a message. */
rd_kafka_t *client_new(const struct target *target, rd_kafka_type_t type, rd_kafka_conf_t *conf);

/* Sets a property that is known to exist. */
void set_property(rd_kafka_conf_t *conf, const char *name, const char *value);

/* How many partitions the topic has; -1 after a message. */
int partition_count(rd_kafka_t *client, const char *topic);

/* SIGTERM or SIGINT has arrived.  The first call begins to watch. */
bool stop_asked(void);

int create_topic(const struct target *target, struct words *words);
int delete_topic(const struct target *target, struct words *words);
int add_partitions(const struct target *target, struct words *words);
int delete_records(const struct target *target, struct words *words);
int alter_topic_config(const struct target *target, struct words *words);
int describe_topic(const struct target *target, struct words *words);
int high_watermarks(const struct target *target, struct words *words);
int produce(const struct target *target, struct words *words);
int consume(const struct target *target, struct words *words);
int mock_cluster(const struct target *target, struct words *words);

#endif
