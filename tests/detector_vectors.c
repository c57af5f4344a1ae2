#include "tests/detector_vectors.h"

#include <stdio.h>
#include <stdlib.h>

/* "window,t_seconds,value,score,channel" */
static bool
read_line(const char *line, struct detector_vector *out)
{
    char *end;

    (void)strtol(line, &end, 10);
    if (*end != ',')
        return false;
    out->start_s = strtoll(end + 1, &end, 10);
    if (*end != ',')
        return false;
    out->value = strtof(end + 1, &end);
    if (*end != ',')
        return false;
    out->expected.score = strtof(end + 1, &end);
    if (*end != ',')
        return false;
    out->expected.channel = (int)strtol(end + 1, &end, 10);
    return *end == '\n';
}

size_t
detector_vectors_read(struct detector_vector *out, size_t limit)
{
    FILE *file = fopen(DETECTOR_VECTORS, "r");
    char line[128];
    size_t count = 0;

    if (file == NULL) {
        perror(DETECTOR_VECTORS);
        return 0;
    }
    /* The first line is the header. */
    if (fgets(line, sizeof line, file) != NULL)
        while (count < limit && fgets(line, sizeof line, file) != NULL &&
               read_line(line, &out[count]))
            count++;
    (void)fclose(file);
    return count;
}

size_t
detector_vectors_wrong(const struct detector_vector *vectors, size_t count, size_t *which)
{
    struct detector series = {.windows = 0};
    size_t wrong = 0;

    for (size_t i = 0; i < count; i++) {
        const struct detector_verdict verdict =
            detector_window(&series, vectors[i].start_s, vectors[i].value);
        const struct detector_verdict expected = vectors[i].expected;
        const bool same = verdict.channel == expected.channel &&
                          detector_bits(verdict.score) == detector_bits(expected.score);

        if (!same && wrong++ == 0)
            *which = i;
    }
    return wrong;
}
