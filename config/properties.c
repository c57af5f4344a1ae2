/* kafka.properties: what is handed to librdkafka as it is. */
#include "config/loader.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>

enum { PROPERTY_LIMIT = 128, WHAT_ROOM = 320 };

/* What the engine sets itself is not for the file to change: it would be overruled in silence. */
static const struct {
    const char *name;
    const char *reason;
} refused[] = {
    {"bootstrap.servers", "set kafka.brokers instead"},
    {"metadata.broker.list", "set kafka.brokers instead"},
    {"group.id", "set kafka.group instead"},
    {"group.instance.id", "it is made of instance and the worker's number"},
    {"enable.auto.commit", "offsets are committed in Postgres, together with what was counted"},
    {"auto.commit.interval.ms", "offsets are committed in Postgres"},
    {"enable.auto.offset.store", "offsets are committed in Postgres"},
    {"auto.offset.reset", "the engine starts where Postgres says and halts when that is gone"},
    {"isolation.level", "aborted transactions must not be counted: it is read_committed"},
    {"partition.assignment.strategy",
     "one worker needs the same partition of every topic: it is range"},
    {"enable.partition.eof", "the engine finds the end of a partition itself"},
    {"check.crcs", "damaged records must not be counted: it is true"},
    {"enable.idempotence", "decisions are written once and in order: it is true"},
    {"enable.gapless.guarantee", "it is the engine's"},
    {"acks", "a decision counts as published when all replicas have it: it is all"},
    {"request.required.acks", "it is all"},
    {"transactional.id", "the control topic is not written in transactions"},
    {"linger.ms", "decisions do not wait for company: it is 1"},
    {"queue.buffering.max.ms", "decisions do not wait for company: it is 1"},
    {"message.timeout.ms", "a decision that waited longer is made anew from the present state"},
    {"delivery.timeout.ms", "a decision that waited longer is made anew from the present state"},
    {"compression.type", "decisions are small: it is none"},
    {"compression.codec", "decisions are small: it is none"},
    {"partitioner", "any tool must find a scope in the same place: it is murmur2_random"},
    {"client.id", "it is made of instance and the worker's number"},
    {"session.timeout.ms", "how soon another engine takes over is part of the design: it is 10 s"},
    {"max.poll.interval.ms", "the engine watches its workers itself"},
    {"allow.auto.create.topics", "a misspelt topic must not come into being: it is false"},
    {"fetch.wait.max.ms", "it is the engine's, chosen by measurement"},
    {"fetch.min.bytes", "it is the engine's, chosen by measurement"},
    {"fetch.message.max.bytes", "it is the engine's, chosen by measurement"},
    {"max.partition.fetch.bytes", "it is the engine's, chosen by measurement"},
    {"fetch.queue.backoff.ms", "it is the engine's, chosen by measurement"},
    {"queued.min.messages", "it is the engine's, chosen by measurement"},
    {"queued.max.messages.kbytes", "it is the engine's, chosen by measurement"},
    {"socket.nagle.disable", "decisions do not wait: it is true"},
    {"statistics.interval.ms", "/metrics has what is of use"},
    {"plugin.library.paths", "the engine loads no code by configuration"},
    {"log_level", "set log.level instead"},
};

static bool
is_allowed(struct loader *loader, const struct yaml *member, const char *name)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (strcmp(refused[i].name, name) == 0)
            return finding_error(loader->findings, member->key_at,
                                 "kafka.properties: %s cannot be set: %s", name, refused[i].reason);
    return true;
}

/* Asks the library itself. The value stays out of the text, it may be a password. */
static bool
library_takes(struct loader *loader, const struct yaml *member, const struct property *property)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const rd_kafka_conf_res_t result =
        rd_kafka_conf_set(conf, property->name, property->value, NULL, 0);

    rd_kafka_conf_destroy(conf);
    if (result == RD_KAFKA_CONF_UNKNOWN)
        return finding_error(loader->findings, member->key_at,
                             "kafka.properties: librdkafka %s has no property %s",
                             rd_kafka_version_str(), property->name);
    if (result != RD_KAFKA_CONF_OK)
        return finding_error(loader->findings, member->at,
                             "kafka.properties: librdkafka does not take this value for %s",
                             property->name);
    return true;
}

/* "sasl.password_file" is sasl.password from a file: no property of the library ends so. */
static size_t
size_without_file(struct text name)
{
    static const char end[] = "_file";
    const size_t size = sizeof end - 1;

    return name.size > size && memcmp(name.at + name.size - size, end, size) == 0 ? name.size - size
                                                                                  : name.size;
}

static bool
add_property(struct loader *loader, const struct yaml *member)
{
    struct config *config = loader->config;
    const size_t size = size_without_file(member->key);
    struct property *property = &config->kafka.properties[config->kafka.property_count];
    char what[WHAT_ROOM];
    bool good;

    (void)snprintf(what, sizeof what, "kafka.properties: %s", member->key.at);
    property->name = arena_text(config->arena, (struct text){member->key.at, size}).at;
    if (property->name == NULL)
        return finding_error(loader->findings, member->key_at, "out of memory");
    if (!is_allowed(loader, member, property->name))
        return false;
    good = size == member->key.size
               ? loader_string(loader, member, what, NULL, &property->value)
               : loader_secret_file(loader, member, what, NULL, &property->value);
    if (!good || !library_takes(loader, member, property))
        return false;
    config->kafka.property_count++;
    return true;
}

bool
properties_read(struct loader *loader, const struct yaml *node)
{
    struct config *config = loader->config;
    bool good = true;

    if (node->kind == YAML_EMPTY)
        return true;
    if (!node_is(loader->findings, node, YAML_MAP, "kafka.properties",
                 "{security.protocol: SASL_SSL}"))
        return false;
    if (node->count > PROPERTY_LIMIT)
        return finding_error(loader->findings, node->at, "kafka.properties: more than %d",
                             PROPERTY_LIMIT);
    config->kafka.properties =
        arena_take(config->arena, (node->count + 1) * sizeof *config->kafka.properties);
    if (config->kafka.properties == NULL)
        return finding_error(loader->findings, node->at, "out of memory");
    for (const struct yaml *member = node->first; member != NULL; member = member->next)
        good = add_property(loader, member) && good;
    return good;
}
