/*
 * Kafka handles of every part: the operator's `kafka.properties` first, then what the part itself
 * insists on.  librdkafka's own messages go to our log.
 */
#ifndef CONFIG_KAFKA_CLIENT_H
#define CONFIG_KAFKA_CLIENT_H

#include "config/config.h"

#include <librdkafka/rdkafka.h>

struct kafka_setting {
    const char *name;
    const char *value;
};

/* `settings` ends with a row whose name is NULL; opaque reaches the callbacks. FATAL when a property
 * is refused. The result goes to kafka_client(), which takes it over. */
rd_kafka_conf_t *kafka_client_conf(const struct config *config,
                                   const struct kafka_setting *settings, struct err *why);
rd_kafka_t *kafka_client(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct err *why);

/* The property exists in this version of the library. */
bool kafka_client_knows(const char *property);

/* Asks for a topic of one partition and waits up to 20 s; `settings` ends with a row whose name is
 * NULL. The text says what the broker said. */
rd_kafka_resp_err_t kafka_client_create_topic(rd_kafka_t *client, const struct config *config,
                                              const char *name,
                                              const struct kafka_setting *settings, char *text,
                                              size_t room);

#endif
