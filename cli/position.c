#include "cli/position.h"

#include "core/text.h"

#define NUMBERS 3

/* The topic and the numbers behind it; how many there are, 0 when it is nothing like it. */
static size_t
parse(const char *word, struct position *out)
{
    static const int64_t limits[NUMBERS] = {INT32_MAX, INT64_MAX, INT32_MAX};
    int64_t numbers[NUMBERS] = {0, 0, 0};
    const size_t topic_size = strcspn(word, "/");
    const char *rest = word + topic_size;
    size_t count = 0;

    if (topic_size == 0 || topic_size >= sizeof out->topic)
        return 0;
    for (; *rest == '/' && count < NUMBERS; count++) {
        const size_t size = strcspn(++rest, "/");

        if (!text_to_int((struct text){rest, size}, 0, limits[count], &numbers[count]))
            return 0;
        rest += size;
    }
    if (*rest != '\0')
        return 0;
    (void)text_copy(out->topic, sizeof out->topic, (struct text){word, topic_size});
    out->partition = (int32_t)numbers[0];
    out->offset = numbers[1];
    out->index = (int32_t)numbers[2];
    return count;
}

bool
position_parse(const char *word, struct position *out, struct err *why)
{
    return parse(word, out) >= 2 ||
           err_set(why, ERR_INPUT,
                   "\"%s\" is no position: TOPIC/PARTITION/OFFSET or TOPIC/PARTITION/OFFSET/INDEX",
                   word);
}

bool
position_parse_partition(const char *word, struct position *out, struct err *why)
{
    return parse(word, out) == 1 ||
           err_set(why, ERR_INPUT, "\"%s\" is no partition: TOPIC/PARTITION", word);
}
