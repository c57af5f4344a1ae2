/* The reading of a scenario under way: lines, words and values (cli/scenario_words.c) for the
 * statements of cli/scenario_read.c. */
#ifndef CLI_SCENARIO_READER_H
#define CLI_SCENARIO_READER_H

#include "cli/scenario.h"

enum { SCENARIO_WORD_LIMIT = 100, SCENARIO_LINE_LIMIT = 4096 };

struct word {
    struct text text; /* NUL-terminated */
    struct mark at;
};

struct reader {
    struct scenario *scenario;
    struct findings *findings;
    struct text body;
    size_t at; /* the next line begins here */
    int line;
    const struct zone *zone;
    const char *policy_file; /* stands in for the first policy; NULL: none */
    bool happened;           /* something has: there is a time */
    int64_t last_ms;
    struct word words[SCENARIO_WORD_LIMIT];
    size_t count;
    size_t next; /* word */
};

bool reader_is_blank(char c);
struct text reader_line(struct reader *reader);
/* The words of a line. False after a finding. */
bool reader_split(struct reader *reader, struct text line);
/* NULL: there is none left. */
const struct word *reader_word(const struct reader *reader);
/* Where something is missing: behind the last word. */
struct mark reader_end(const struct reader *reader);
bool reader_is_date(struct text text);
/* The next two words as an instant. False after a finding, as below. */
bool reader_time(struct reader *reader, int64_t *out);
bool reader_subjects(struct reader *reader, struct statement *statement);
/* The pairs up to the end of the line. */
bool reader_values(struct reader *reader, struct statement *statement);

#endif
