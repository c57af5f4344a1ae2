#include "tests/campaign/log.h"

#include <stdlib.h>
#include <string.h>

void
fake_log_open(struct fake_log *log, const char *directory, int32_t shard)
{
    char path[1024];

    (void)snprintf(path, sizeof path, "%s/shard-%d.log", directory, (int)shard);
    *log = (struct fake_log){.shard = shard, .file = fopen(path, "r")};
    if (log->file == NULL) {
        perror(path);
        exit(2); /* NOLINT(concurrency-mt-unsafe) */
    }
}

void
fake_log_close(struct fake_log *log)
{
    for (size_t i = 0; i < log->count; i++)
        free(log->lines[i]);
    free(log->lines);
    (void)fclose(log->file);
}

static void
add(struct fake_log *log, char *line)
{
    if (log->count == log->room) {
        log->room = log->room * 2 + 1024;
        char **const grown = realloc(log->lines, log->room * sizeof *grown);

        if (grown == NULL)
            abort();
        log->lines = grown;
    }
    log->lines[log->count++] = line;
}

int64_t
fake_log_end(struct fake_log *log)
{
    for (;;) {
        const long start = ftell(log->file);
        char *line = NULL;
        size_t room = 0;
        const ssize_t size = getline(&line, &room, log->file);

        if (size <= 0 || line[size - 1] != '\n') {
            /* Nothing more, or a line whose end is still to come. */
            free(line);
            clearerr(log->file);
            (void)fseek(log->file, start, SEEK_SET);
            return (int64_t)log->count;
        }
        line[size - 1] = '\0';
        add(log, line);
    }
}

struct record
fake_log_at(const struct fake_log *log, int64_t offset)
{
    const char *const line = log->lines[offset];
    const char *const key = strchr(line, '\t') + 1;
    const char *const value = strchr(key, '\t') + 1;

    return (struct record){
        .partition = log->shard,
        .offset = offset,
        .time_ms = strtoll(line, NULL, 10),
        .append_time = true,
        .key = {key, (size_t)(value - key - 1)},
        .value = *value == '\0' ? (struct text){NULL, 0} : text_of(value),
    };
}
