/* The commands that make, change, look at and remove topics. */
#include "tests/tools/tool.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ADMIN_TIMEOUT_MS = 15000 };

struct admin {
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    rd_kafka_AdminOptions_t *options;
};

static bool
admin_open(struct admin *admin, const struct target *target, rd_kafka_admin_op_t operation)
{
    char text[256];

    admin->client = client_new(target, RD_KAFKA_PRODUCER, rd_kafka_conf_new());
    if (admin->client == NULL)
        return false;
    admin->queue = rd_kafka_queue_new(admin->client);
    admin->options = rd_kafka_AdminOptions_new(admin->client, operation);
    (void)rd_kafka_AdminOptions_set_request_timeout(admin->options, ADMIN_TIMEOUT_MS, text,
                                                    sizeof text);
    return true;
}

static void
admin_close(struct admin *admin)
{
    rd_kafka_AdminOptions_destroy(admin->options);
    rd_kafka_queue_destroy(admin->queue);
    rd_kafka_destroy(admin->client);
}

/* The answer, or NULL after a message. */
static rd_kafka_event_t *
admin_wait(struct admin *admin, const char *what)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(admin->queue, ADMIN_TIMEOUT_MS + 1000);

    if (event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR)
        return event;
    (void)fail("%s: %s", what, event == NULL ? "no answer" : rd_kafka_event_error_string(event));
    if (event != NULL)
        rd_kafka_event_destroy(event);
    return NULL;
}

/* The exit status that a list of one topic's result stands for; the event is given back. */
static int
topic_status(rd_kafka_event_t *event, const rd_kafka_topic_result_t **results, const char *topic)
{
    const rd_kafka_resp_err_t err = rd_kafka_topic_result_error(results[0]);
    const char *text = rd_kafka_topic_result_error_string(results[0]);
    const int status = err == RD_KAFKA_RESP_ERR_NO_ERROR
                           ? TOOL_OK
                           : fail("%s: %s", topic, text != NULL ? text : rd_kafka_err2str(err));

    rd_kafka_event_destroy(event);
    return status;
}

/* Splits name=value in place and hands it on; false after a message. */
static bool
each_config(struct words *words, int from, bool (*set)(void *to, const char *, const char *),
            void *to)
{
    for (int i = from; i < words->count; i++) {
        char *equals = strchr(words->word[i], '=');

        if (equals == NULL) {
            (void)fail("\"%s\" is not config=value", words->word[i]);
            return false;
        }
        *equals = '\0';
        if (!set(to, words->word[i], equals + 1)) {
            (void)fail("cannot set %s", words->word[i]);
            return false;
        }
    }
    return true;
}

static bool
set_new_topic(void *to, const char *name, const char *value)
{
    return rd_kafka_NewTopic_set_config(to, name, value) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool
set_resource(void *to, const char *name, const char *value)
{
    return rd_kafka_ConfigResource_set_config(to, name, value) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* The controller has answered; wait until the broker leads every partition, so that whoever comes
 * next finds the topic. */
static int
await_leaders(rd_kafka_t *client, const char *topic, int partitions)
{
    const struct timespec pause = {.tv_nsec = 20000000};

    for (int try = 0; try < 500; try++) {
        rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
        const struct rd_kafka_metadata *metadata = NULL;
        int led = 0;

        if (rd_kafka_metadata(client, 0, handle, &metadata, 5000) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            for (int i = 0; i < metadata->topics[0].partition_cnt; i++)
                led += metadata->topics[0].partitions[i].leader >= 0;
            rd_kafka_metadata_destroy(metadata);
        }
        rd_kafka_topic_destroy(handle);
        if (led >= partitions)
            return TOOL_OK;
        (void)nanosleep(&pause, NULL);
    }
    return fail("%s: its partitions have no leader after 10 s", topic);
}

int
create_topic(const struct target *target, struct words *words)
{
    const char *topic = words->word[0];
    rd_kafka_NewTopic_t *new_topic;
    rd_kafka_event_t *event;
    struct admin admin;
    char text[256];
    int64_t partitions;
    size_t count;
    int status = TOOL_FAILED;

    if (!parse_number(words->word[1], "PARTITIONS", 1, 10000, &partitions))
        return TOOL_USAGE;
    new_topic = rd_kafka_NewTopic_new(topic, (int)partitions, -1, text, sizeof text);
    if (new_topic == NULL)
        return fail("%s: %s", topic, text);
    if (each_config(words, 2, set_new_topic, new_topic) &&
        admin_open(&admin, target, RD_KAFKA_ADMIN_OP_CREATETOPICS)) {
        rd_kafka_CreateTopics(admin.client, &new_topic, 1, admin.options, admin.queue);
        event = admin_wait(&admin, topic);
        if (event != NULL)
            status = topic_status(event,
                                  rd_kafka_CreateTopics_result_topics(
                                      rd_kafka_event_CreateTopics_result(event), &count),
                                  topic);
        if (status == TOOL_OK)
            status = await_leaders(admin.client, topic, (int)partitions);
        admin_close(&admin);
    }
    rd_kafka_NewTopic_destroy(new_topic);
    return status;
}

int
delete_topic(const struct target *target, struct words *words)
{
    const char *topic = words->word[0];
    rd_kafka_DeleteTopic_t *old;
    rd_kafka_event_t *event;
    struct admin admin;
    size_t count;
    int status = TOOL_FAILED;

    if (!admin_open(&admin, target, RD_KAFKA_ADMIN_OP_DELETETOPICS))
        return TOOL_FAILED;
    old = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_DeleteTopics(admin.client, &old, 1, admin.options, admin.queue);
    event = admin_wait(&admin, topic);
    if (event != NULL)
        status = topic_status(
            event,
            rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count),
            topic);
    rd_kafka_DeleteTopic_destroy(old);
    admin_close(&admin);
    return status;
}

int
add_partitions(const struct target *target, struct words *words)
{
    const char *topic = words->word[0];
    rd_kafka_NewPartitions_t *more;
    rd_kafka_event_t *event;
    struct admin admin;
    char text[256];
    int64_t total;
    size_t count;
    int status = TOOL_FAILED;

    if (!parse_number(words->word[1], "NEW_TOTAL", 1, 10000, &total))
        return TOOL_USAGE;
    more = rd_kafka_NewPartitions_new(topic, (size_t)total, text, sizeof text);
    if (more == NULL)
        return fail("%s: %s", topic, text);
    if (admin_open(&admin, target, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS)) {
        rd_kafka_CreatePartitions(admin.client, &more, 1, admin.options, admin.queue);
        event = admin_wait(&admin, topic);
        if (event != NULL)
            status = topic_status(event,
                                  rd_kafka_CreatePartitions_result_topics(
                                      rd_kafka_event_CreatePartitions_result(event), &count),
                                  topic);
        if (status == TOOL_OK)
            status = await_leaders(admin.client, topic, (int)total);
        admin_close(&admin);
    }
    rd_kafka_NewPartitions_destroy(more);
    return status;
}

int
delete_records(const struct target *target, struct words *words)
{
    const char *topic = words->word[0];
    rd_kafka_topic_partition_list_t *before;
    rd_kafka_DeleteRecords_t *request;
    rd_kafka_event_t *event;
    struct admin admin;
    int64_t partition;
    int64_t offset;
    int status = TOOL_FAILED;

    if (!parse_number(words->word[1], "PARTITION", 0, 9999, &partition) ||
        !parse_number(words->word[2], "OFFSET", 0, INT64_MAX, &offset))
        return TOOL_USAGE;
    if (!admin_open(&admin, target, RD_KAFKA_ADMIN_OP_DELETERECORDS))
        return TOOL_FAILED;
    before = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(before, topic, (int32_t)partition)->offset = offset;
    request = rd_kafka_DeleteRecords_new(before);
    rd_kafka_DeleteRecords(admin.client, &request, 1, admin.options, admin.queue);
    event = admin_wait(&admin, topic);
    if (event != NULL) {
        const rd_kafka_resp_err_t err =
            rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event))
                ->elems[0]
                .err;

        status = err == RD_KAFKA_RESP_ERR_NO_ERROR ? TOOL_OK
                                                   : fail("%s: %s", topic, rd_kafka_err2str(err));
        rd_kafka_event_destroy(event);
    }
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(before);
    admin_close(&admin);
    return status;
}

static int
resource_status(const rd_kafka_ConfigResource_t *resource, const char *topic)
{
    const rd_kafka_resp_err_t err = rd_kafka_ConfigResource_error(resource);
    const char *text = rd_kafka_ConfigResource_error_string(resource);

    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return TOOL_OK;
    return fail("%s: %s", topic, text != NULL ? text : rd_kafka_err2str(err));
}

int
alter_topic_config(const struct target *target, struct words *words)
{
    const char *topic = words->word[0];
    rd_kafka_ConfigResource_t *resource;
    rd_kafka_event_t *event;
    struct admin admin;
    size_t count;
    int status = TOOL_FAILED;

    resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    if (each_config(words, 1, set_resource, resource) &&
        admin_open(&admin, target, RD_KAFKA_ADMIN_OP_ALTERCONFIGS)) {
        rd_kafka_AlterConfigs(admin.client, &resource, 1, admin.options, admin.queue);
        event = admin_wait(&admin, topic);
        if (event != NULL) {
            status = resource_status(rd_kafka_AlterConfigs_result_resources(
                                         rd_kafka_event_AlterConfigs_result(event), &count)[0],
                                     topic);
            rd_kafka_event_destroy(event);
        }
        admin_close(&admin);
    }
    rd_kafka_ConfigResource_destroy(resource);
    return status;
}

static int
print_topic(rd_kafka_t *client, const char *topic, const rd_kafka_ConfigResource_t *resource)
{
    size_t count;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    const int partitions = partition_count(client, topic);
    json_t *config;
    json_t *line;

    if (partitions < 0)
        return TOOL_FAILED;
    config = json_object();
    for (size_t i = 0; i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);

        (void)json_object_set_new(config, rd_kafka_ConfigEntry_name(entries[i]),
                                  value != NULL ? json_string(value) : json_null());
    }
    line = json_pack("{s:i, s:o}", "partitions", partitions, "config", config);
    (void)json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(line);
    return TOOL_OK;
}

int
describe_topic(const struct target *target, struct words *words)
{
    const char *topic = words->word[0];
    const rd_kafka_ConfigResource_t *found;
    rd_kafka_ConfigResource_t *resource;
    rd_kafka_event_t *event;
    struct admin admin;
    size_t count;
    int status = TOOL_FAILED;

    if (!admin_open(&admin, target, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS))
        return TOOL_FAILED;
    resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_DescribeConfigs(admin.client, &resource, 1, admin.options, admin.queue);
    event = admin_wait(&admin, topic);
    if (event != NULL) {
        found = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(event), &count)[0];
        status = resource_status(found, topic);
        if (status == TOOL_OK)
            status = print_topic(admin.client, topic, found);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_ConfigResource_destroy(resource);
    admin_close(&admin);
    return status;
}

int
high_watermarks(const struct target *target, struct words *words)
{
    const char *topic = words->word[0];
    rd_kafka_t *client = client_new(target, RD_KAFKA_PRODUCER, rd_kafka_conf_new());
    int status = TOOL_OK;
    int count;

    if (client == NULL)
        return TOOL_FAILED;
    count = partition_count(client, topic);
    if (count < 0)
        status = TOOL_FAILED;
    for (int i = 0; i < count && status == TOOL_OK; i++) {
        int64_t low;
        int64_t high;
        const rd_kafka_resp_err_t err =
            rd_kafka_query_watermark_offsets(client, topic, i, &low, &high, ADMIN_TIMEOUT_MS);

        if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
            printf("{\"partition\":%d,\"low\":%lld,\"high\":%lld}\n", i, (long long)low,
                   (long long)high);
        else
            status = fail("%s partition %d: %s", topic, i, rd_kafka_err2str(err));
    }
    rd_kafka_destroy(client);
    return status;
}
