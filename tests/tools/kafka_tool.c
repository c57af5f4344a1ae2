/*
 * A command-line Kafka client for tests, demo and bench.  kafka_tool --help lists the commands;
 * each is a row of the table below.
 */
#include "tests/tools/tool.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct command {
    const char *name;
    int (*run)(const struct target *target, struct words *words);
    int least; /* words, without options */
    const char *usage;
};

static const struct command commands[] = {
    {"create-topic", create_topic, 2, "TOPIC PARTITIONS [config=value ...]"},
    {"delete-topic", delete_topic, 1, "TOPIC"},
    {"add-partitions", add_partitions, 2, "TOPIC NEW_TOTAL"},
    {"delete-records", delete_records, 3,
     "TOPIC PARTITION OFFSET\n      removes what is before OFFSET"},
    {"alter-topic-config", alter_topic_config, 2,
     "TOPIC config=value ...\n      sets these; all others return to their defaults"},
    {"describe-topic", describe_topic, 1, "TOPIC\n      {\"partitions\":N,\"config\":{...}}"},
    {"high-watermarks", high_watermarks, 1,
     "TOPIC\n      a line {\"partition\":P,\"low\":N,\"high\":N} for each partition"},
    {"produce", produce, 1,
     "TOPIC [--raw-events] [--partition N] [--partitioner NAME] [--lz4] [--rate N]\n"
     "      from standard input, a message a line:\n"
     "      {\"key\":TEXT,\"value\":TEXT|OBJECT|null,\"headers\":{NAME:TEXT},\"timestamp_ms\":N}\n"
     "      all members optional; \"value_hex\" for bytes that are not text, \"partition\":N.\n"
     "      --raw-events: a line is the value as it stands, a native event: its `subject` is\n"
     "      the key and its `time` the timestamp (neither where the line is not such an event).\n"
     "      The partitioner is murmur2_random unless named.  Ends with {\"produced\":N}."},
    {"consume", consume, 1,
     "TOPIC [--from beginning|end|OFFSET] [--partition N] [--until-end] [--count N]\n"
     "      a line {\"partition\",\"offset\",\"key\",\"value\",\"headers\",\"timestamp_ms\"} a "
     "message;\n"
     "      \"value_hex\" instead where it is not UTF-8.  Until the end of the topic, N messages,\n"
     "      or else SIGTERM."},
    {"mock-cluster", mock_cluster, 1,
     "DIR [--brokers N] [TOPIC:PARTITIONS ...]\n"
     "      librdkafka's embedded broker until SIGTERM; DIR/env says bootstrap= and pid="},
};

static const size_t command_count = sizeof commands / sizeof commands[0];

int
fail(const char *format, ...)
{
    va_list list;

    fputs("kafka_tool: ", stderr);
    va_start(list, format);
    (void)vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    return TOOL_FAILED;
}

static void
drop_words(struct words *words, int at, int count)
{
    words->count -= count;
    for (int i = at; i < words->count; i++)
        words->word[i] = words->word[i + count];
}

bool
take_flag(struct words *words, const char *name)
{
    for (int i = 0; i < words->count; i++) {
        if (strcmp(words->word[i], name) == 0) {
            drop_words(words, i, 1);
            return true;
        }
    }
    return false;
}

const char *
take_value(struct words *words, const char *name, const char *fallback)
{
    for (int i = 0; i + 1 < words->count; i++) {
        if (strcmp(words->word[i], name) == 0) {
            const char *value = words->word[i + 1];

            drop_words(words, i, 2);
            return value;
        }
    }
    return fallback;
}

bool
only_word(const struct words *words)
{
    if (words->count == 1)
        return true;
    if (words->count == 0)
        (void)fail("a topic is missing");
    else
        (void)fail("%s: not understood", words->word[1]);
    return false;
}

bool
parse_number(const char *text, const char *what, int64_t low, int64_t high, int64_t *out)
{
    char *end = NULL;

    errno = 0;
    *out = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && *out >= low && *out <= high)
        return true;
    (void)fail("%s must be a whole number from %lld to %lld, not \"%s\"", what, (long long)low,
               (long long)high, text);
    return false;
}

void
set_property(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];

    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
        abort();
}

static bool
set_properties(const struct target *target, rd_kafka_conf_t *conf)
{
    char text[256];

    for (int i = 0; i < target->properties.count; i++) {
        char *name = target->properties.word[i];
        char *equals = strchr(name, '=');
        rd_kafka_conf_res_t result;

        if (equals == NULL) {
            (void)fail("-X %s: not name=value", name);
            return false;
        }
        *equals = '\0';
        result = rd_kafka_conf_set(conf, name, equals + 1, text, sizeof text);
        *equals = '=';
        if (result != RD_KAFKA_CONF_OK) {
            (void)fail("-X %s: %s", name, text);
            return false;
        }
    }
    return true;
}

rd_kafka_t *
client_new(const struct target *target, rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char text[256];
    rd_kafka_t *client = NULL;

    set_property(conf, "log_level", "3"); /* errors; what matters of the rest we say ourselves */
    if (target->bootstrap != NULL)
        set_property(conf, "bootstrap.servers", target->bootstrap);
    if (set_properties(target, conf)) {
        client = rd_kafka_new(type, conf, text, sizeof text);
        if (client == NULL)
            (void)fail("%s", text);
    }
    if (client == NULL)
        rd_kafka_conf_destroy(conf);
    return client;
}

int
partition_count(rd_kafka_t *client, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    rd_kafka_resp_err_t err = rd_kafka_metadata(client, 0, handle, &metadata, 10000);
    int count = -1;

    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        err = metadata->topics[0].err;
        count = metadata->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(handle);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return count;
    (void)fail("%s: %s", topic, rd_kafka_err2str(err));
    return -1;
}

static volatile sig_atomic_t stop_signal;

static void
note_signal(int number)
{
    stop_signal = number;
}

bool
stop_asked(void)
{
    static bool watching;

    if (!watching) {
        struct sigaction action = {.sa_handler = note_signal};

        watching = true;
        (void)sigaction(SIGTERM, &action, NULL);
        (void)sigaction(SIGINT, &action, NULL);
    }
    return stop_signal != 0;
}

static int
usage(FILE *to, int status)
{
    fputs("usage: kafka_tool -b HOST:PORT [-X property=value ...] COMMAND ...\n", to);
    for (size_t i = 0; i < command_count; i++)
        (void)fprintf(to, "  %s %s\n", commands[i].name, commands[i].usage);
    return status;
}

static int
run(const struct target *target, struct words *words)
{
    const char *name = words->word[0];

    for (size_t i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];

        if (strcmp(command->name, name) != 0)
            continue;
        drop_words(words, 0, 1);
        if (words->count >= command->least &&
            (command->run == mock_cluster || target->bootstrap != NULL))
            return command->run(target, words);
        (void)fprintf(stderr, "usage: kafka_tool -b HOST:PORT %s %s\n", name, command->usage);
        return TOOL_USAGE;
    }
    (void)fail("no command \"%s\"", name);
    return usage(stderr, TOOL_USAGE);
}

int
main(int argc, char **argv)
{
    struct words words = {argc - 1, argv + 1};
    char *properties[32];
    struct target target = {.properties = {0, properties}};

    if (argc == 1 || take_flag(&words, "--help"))
        return usage(argc == 1 ? stderr : stdout, argc == 1 ? TOOL_USAGE : TOOL_OK);
    while (words.count >= 2 && words.word[0][0] == '-') {
        if (strcmp(words.word[0], "-b") == 0)
            target.bootstrap = words.word[1];
        else if (strcmp(words.word[0], "-X") == 0 && target.properties.count < 32)
            properties[target.properties.count++] = words.word[1];
        else
            return usage(stderr, TOOL_USAGE);
        drop_words(&words, 0, 2);
    }
    return words.count > 0 ? run(&target, &words) : usage(stderr, TOOL_USAGE);
}
