#include "ingest/consumer.h"

#include "config/kafka_client.h"

#define ANSWER_MS 5000

static bool
broker_is_away(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
           code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__RESOLVE ||
           code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
}

static bool
partition_count(rd_kafka_t *client, const struct config *config, size_t topic, int32_t *count,
                struct err *why)
{
    const char *name = config->kafka.topics[topic];
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, name, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(client, 0, handle, &metadata, ANSWER_MS);

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = metadata->topics[0].err;
        *count = metadata->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(handle);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && *count > 0)
        return true;
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return err_set(why, ERR_FATAL,
                       "usage topic %s does not exist; create it: kafka-topics.sh "
                       "--bootstrap-server %s --create --topic %s --partitions 8 --config "
                       "message.timestamp.type=LogAppendTime",
                       name, config->kafka.brokers, name);
    return err_set(why, broker_is_away(code) ? ERR_RETRY : ERR_FATAL, "kafka at %s: topic %s: %s",
                   config->kafka.brokers, name, rd_kafka_err2str(code));
}

bool
consumer_check_topics(const struct consumer_setup *setup, int32_t *partitions, struct err *why)
{
    const struct config *config = setup->config;
    const struct kafka_setting settings[] = {
        {"client.id", setup->client_id},
        {"group.id", config->kafka.group},
        {"allow.auto.create.topics", "false"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = kafka_client_conf(config, settings, why);
    rd_kafka_t *client = conf == NULL ? NULL : kafka_client(RD_KAFKA_CONSUMER, conf, why);
    bool good = client != NULL;

    *partitions = 0;
    for (size_t t = 0; good && t < config->kafka.topic_count; t++) {
        int32_t count = 0;

        good = partition_count(client, config, t, &count, why);
        if (good && t > 0 && count != *partitions)
            good = err_set(why, ERR_FATAL,
                           "usage topics must have the same number of partitions: %s has %d, %s "
                           "has %d; raise the smaller one with kafka-topics.sh --alter",
                           config->kafka.topics[0], *partitions, config->kafka.topics[t], count);
        *partitions = t == 0 ? count : *partitions;
    }
    if (client != NULL)
        rd_kafka_destroy(client);
    return good;
}
