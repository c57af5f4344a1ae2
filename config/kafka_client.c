#include "config/kafka_client.h"

#include "config/log.h"

enum { CREATION_LIMIT_MS = 20000 };
enum { SYSLOG_ERROR = 3, SYSLOG_WARNING = 4, SYSLOG_INFO = 6 };

static void
on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    char quoted[LOG_QUOTE_SIZE];
    enum log_level ours = LOG_DEBUG;

    if (level <= SYSLOG_ERROR)
        ours = LOG_ERROR;
    else if (level == SYSLOG_WARNING)
        ours = LOG_WARNING;
    else if (level <= SYSLOG_INFO)
        ours = LOG_INFO;
    log_line(ours, "kafka", "client=%s facility=%s text=%s", rd_kafka_name(client), facility,
             log_quote(text_of(text), quoted));
}

static bool
set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *why)
{
    char text[ERR_TEXT_SIZE];

    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return true;
    return err_set(why, ERR_FATAL, "kafka property \"%s\": %s", name, text);
}

rd_kafka_conf_t *
kafka_client_conf(const struct config *config, const struct kafka_setting *settings,
                  struct err *why)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool good = true;

    rd_kafka_conf_set_log_cb(conf, on_log);
    for (size_t i = 0; good && i < config->kafka.property_count; i++)
        good = set(conf, config->kafka.properties[i].name, config->kafka.properties[i].value, why);
    good = good && set(conf, "bootstrap.servers", config->kafka.brokers, why);
    for (; good && settings->name != NULL; settings++)
        good = set(conf, settings->name, settings->value, why);
    if (good)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

rd_kafka_t *
kafka_client(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct err *why)
{
    char text[ERR_TEXT_SIZE];
    rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof text);

    if (client == NULL) {
        rd_kafka_conf_destroy(conf);
        (void)err_set(why, ERR_FATAL, "kafka client: %s", text);
    }
    return client;
}

bool
kafka_client_knows(const char *property)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char value[64];
    size_t size = sizeof value;
    const bool known = rd_kafka_conf_get(conf, property, value, &size) != RD_KAFKA_CONF_UNKNOWN;

    rd_kafka_conf_destroy(conf);
    return known;
}

static rd_kafka_resp_err_t
creation_result(rd_kafka_event_t *event, char *text, size_t room)
{
    size_t count = 0;
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    const rd_kafka_topic_result_t **topics =
        result == NULL ? NULL : rd_kafka_CreateTopics_result_topics(result, &count);
    const char *said = rd_kafka_event_error_string(event);
    rd_kafka_resp_err_t err = rd_kafka_event_error(event);

    if (err == RD_KAFKA_RESP_ERR_NO_ERROR && count > 0) {
        err = rd_kafka_topic_result_error(topics[0]);
        said = rd_kafka_topic_result_error_string(topics[0]);
    }
    (void)text_copy(text, room, text_of(said == NULL ? rd_kafka_err2str(err) : said));
    return err;
}

rd_kafka_resp_err_t
kafka_client_create_topic(rd_kafka_t *client, const struct config *config, const char *name,
                          const struct kafka_setting *settings, char *text, size_t room)
{
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(name, 1, config->kafka.replication, text, room);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__INVALID_ARG;

    if (topic != NULL) {
        for (; settings->name != NULL; settings++)
            (void)rd_kafka_NewTopic_set_config(topic, settings->name, settings->value);
        rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, CREATION_LIMIT_MS);

        err = event == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT : creation_result(event, text, room);
        if (event != NULL)
            rd_kafka_event_destroy(event);
        rd_kafka_NewTopic_destroy(topic);
    }
    rd_kafka_queue_destroy(queue);
    return err;
}
