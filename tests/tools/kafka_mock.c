/* librdkafka's own broker as a process: what the demo uses instead of Java. */
#include "tests/tools/tool.h"
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool
create_topics(rd_kafka_mock_cluster_t *cluster, const struct words *words)
{
    for (int i = 1; i < words->count; i++) {
        char *colon = strrchr(words->word[i], ':');
        int64_t partitions;

        if (colon == NULL || !parse_number(colon + 1, "PARTITIONS", 1, 1000, &partitions)) {
            (void)fail("\"%s\" is not TOPIC:PARTITIONS", words->word[i]);
            return false;
        }
        *colon = '\0';
        if (rd_kafka_mock_topic_create(cluster, words->word[i], (int)partitions, 1) !=
            RD_KAFKA_RESP_ERR_NO_ERROR) {
            (void)fail("cannot create topic %s", words->word[i]);
            return false;
        }
    }
    return true;
}

/* In one step, so that a reader never sees half of it. */
static bool
write_env(const char *dir, const char *bootstrap)
{
    char path[4096];
    char fresh[4096 + 4];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/env", dir);
    (void)snprintf(fresh, sizeof fresh, "%s.new", path);
    file = fopen(fresh, "w");
    if (file == NULL) {
        (void)fail("cannot write %s", fresh);
        return false;
    }
    (void)fprintf(file, "bootstrap=%s\npid=%ld\n", bootstrap, (long)getpid());
    return fclose(file) == 0 && rename(fresh, path) == 0;
}

int
mock_cluster(const struct target *target, struct words *words)
{
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_t *client;
    sigset_t stop;
    int64_t brokers;
    int number;
    int status = TOOL_FAILED;

    if (!parse_number(take_value(words, "--brokers", "1"), "--brokers", 1, 9, &brokers))
        return TOOL_USAGE;
    /* Before librdkafka's threads exist, so that they inherit it and sigwait gets the signal. */
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigaddset(&stop, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &stop, NULL);
    client = client_new(target, RD_KAFKA_PRODUCER, rd_kafka_conf_new());
    if (client == NULL)
        return TOOL_FAILED;
    cluster = rd_kafka_mock_cluster_new(client, (int)brokers);
    if (cluster == NULL) {
        rd_kafka_destroy(client);
        return fail("cannot start the embedded broker");
    }
    if (create_topics(cluster, words) &&
        write_env(words->word[0], rd_kafka_mock_cluster_bootstraps(cluster)) &&
        sigwait(&stop, &number) == 0)
        status = TOOL_OK;
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(client);
    return status;
}
