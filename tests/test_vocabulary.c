/* Which of the known names is this: each is found, and nothing that looks like one. */
#include "core/event.h"
#include "ingest/vocabulary.h"
#include "tests/check.h"

static const char *const names[] = {"i",
                                    "id",
                                    "ida",
                                    "time",
                                    "final",
                                    "client_ip",
                                    "attempts",
                                    "cache_read_tokens",
                                    "cache_write_tokens",
                                    "sixteen_letters_",
                                    "twenty_one_letters_on"};
enum { COUNT = sizeof names / sizeof names[0] };

static void
found(void)
{
    struct vocabulary vocabulary = {0};

    vocabulary_add(&vocabulary, names, COUNT);
    for (int i = 0; i < COUNT; i++)
        CHECK_INT(names[i], vocabulary_find(&vocabulary, text_of(names[i])), i + 1);
    /* What is there already is not added again. */
    vocabulary_add(&vocabulary, event_name_members, NAME_COUNT);
    vocabulary_add(&vocabulary, names, COUNT);
    for (int i = 0; i < COUNT; i++)
        CHECK_INT(names[i], vocabulary_find(&vocabulary, text_of(names[i])), i + 1);
    for (int i = 0; i < NAME_COUNT; i++) {
        const unsigned word = vocabulary_find(&vocabulary, text_of(event_name_members[i]));

        CHECK_INT(event_name_members[i],
                  text_eq(vocabulary.names[word], text_of(event_name_members[i])), true);
    }
}

/* A changed byte, a byte less, a byte more. */
static void
look_alikes(void)
{
    struct vocabulary vocabulary = {0};
    char name[32];
    int64_t taken = 0;

    vocabulary_add(&vocabulary, names, COUNT);
    for (int i = 0; i < COUNT; i++) {
        const size_t size = text_copy(name, sizeof name, text_of(names[i]));

        for (size_t at = 0; at < size; at++)
            for (int change = 1; change < 256; change++) {
                name[at] = (char)(names[i][at] ^ change);
                taken += vocabulary_find(&vocabulary, (struct text){name, size}) != 0;
                name[at] = names[i][at];
            }
        if (size > 3)
            taken += vocabulary_find(&vocabulary, (struct text){name, size - 1}) != 0;
        name[size] = 'b';
        taken += vocabulary_find(&vocabulary, (struct text){name, size + 1}) != 0;
        name[size] = '\0';
        taken += vocabulary_find(&vocabulary, (struct text){name, size + 1}) != 0;
    }
    taken += vocabulary_find(&vocabulary, TEXT("")) != 0;
    taken += vocabulary_find(&vocabulary, (struct text){NULL, 0}) != 0;
    CHECK_INT("names taken for another", taken, 0);
}

static CU_TestInfo tests[] = {
    {"every name is found", found},
    {"no other is", look_alikes},
    CU_TEST_INFO_NULL,
};
const CU_SuiteInfo suite_vocabulary = {"vocabulary", NULL, NULL, NULL, NULL, tests};
