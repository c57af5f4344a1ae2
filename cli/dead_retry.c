/* dead retry: the record is read again by position; the engine applies it exactly once. */
#include "cli/applied.h"
#include "cli/position.h"
#include "cli/reader.h"
#include "cli/session.h"
#include "core/clock.h"
#include "core/digest.h"

#include <inttypes.h>
#include <stdlib.h>

#define RECORD_MEMORY ((size_t)16 << 20)
#define RETRY_LIMIT   1000
#define RETRY_WAIT_MS 10000

struct letter {
    struct position at;
    char hash[DIGEST_HEX_SIZE];
};

/* ---- which ---------------------------------------------------------------------------------------- */

static const char sql_by_position[] =
    "SELECT topic, partition, record_offset, event_index, hash FROM tripmeter.dead_letter"
    " WHERE topic = $1 AND partition = $2::integer AND record_offset = $3::bigint"
    " AND event_index = $4::integer";
static const char sql_by_reason[] =
    "SELECT topic, partition, record_offset, event_index, hash FROM tripmeter.dead_letter"
    " WHERE reason = $1 AND resolved_at IS NULL AND retry_command IS NULL"
    " ORDER BY topic, partition, record_offset, event_index LIMIT 1000";

static size_t
take_letters(const PGresult *rows, struct letter *letters, size_t count)
{
    for (int i = 0; i < PQntuples(rows) && count < RETRY_LIMIT; i++, count++) {
        struct letter *letter = &letters[count];

        (void)text_copy(letter->at.topic, sizeof letter->at.topic, text_of(db_text(rows, i, 0)));
        letter->at.partition = (int32_t)db_int(rows, i, 1);
        letter->at.offset = db_int(rows, i, 2);
        letter->at.index = (int32_t)db_int(rows, i, 3);
        (void)text_copy(letter->hash, sizeof letter->hash, text_of(db_text(rows, i, 4)));
    }
    return count;
}

static bool
find_one(struct db *db, const char *word, struct letter *letters, size_t *count, struct err *why)
{
    struct position at;
    char number[3][24];

    if (!position_parse(word, &at, why))
        return false;
    (void)snprintf(number[0], sizeof number[0], "%" PRId32, at.partition);
    (void)snprintf(number[1], sizeof number[1], "%" PRId64, at.offset);
    (void)snprintf(number[2], sizeof number[2], "%" PRId32, at.index);
    const char *const values[] = {at.topic, number[0], number[1], number[2]};
    PGresult *rows = db_query(db, sql_by_position, values, 4, why);

    if (rows == NULL)
        return false;
    const size_t before = *count;

    *count = take_letters(rows, letters, before);
    PQclear(rows);
    return *count > before || err_set(why, ERR_INPUT, "there is no dead letter at %s", word);
}

static bool
find_letters(struct db *db, const struct arguments *arguments, struct letter *letters,
             size_t *count, struct err *why)
{
    const char *const values[] = {option_value(arguments, "reason")};

    for (int i = 0; i < arguments->word_count; i++)
        if (!find_one(db, arguments->words[i], letters, count, why))
            return false;
    if (values[0] == NULL)
        return true;
    PGresult *rows = db_query(db, sql_by_reason, values, 1, why);

    if (rows == NULL)
        return false;
    *count = take_letters(rows, letters, *count);
    PQclear(rows);
    return true;
}

/* ---- one of them ---------------------------------------------------------------------------------- */

/* Bytes as a bytea literal; absent bytes are NULL. */
static const char *
bytea_of(struct arena *arena, struct text bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *text = bytes.at == NULL ? NULL : arena_take(arena, 2 * bytes.size + 3);

    if (text == NULL)
        return NULL;
    text[0] = '\\';
    text[1] = 'x';
    for (size_t i = 0; i < bytes.size; i++) {
        text[2 + 2 * i] = digits[(unsigned char)bytes.at[i] >> 4];
        text[3 + 2 * i] = digits[(unsigned char)bytes.at[i] & 15];
    }
    return text;
}

static bool
issue(struct session *session, const struct letter *letter, const struct arguments *arguments,
      const struct reader_record *record, struct arena *arena, struct err *why)
{
    const char *note = option_value(arguments, "note");
    char number[3][24];
    char at[CLOCK_TEXT_SIZE];
    const struct position *position = &letter->at;

    (void)snprintf(number[0], sizeof number[0], "%" PRId32, position->partition);
    (void)snprintf(number[1], sizeof number[1], "%" PRId64, position->offset);
    (void)snprintf(number[2], sizeof number[2], "%" PRId32, position->index);
    const char *const values[] = {position->topic,
                                  number[0],
                                  number[1],
                                  number[2],
                                  clock_format(record->time_ms, at),
                                  bytea_of(arena, record->key),
                                  bytea_of(arena, record->event),
                                  command_actor(arguments),
                                  note == NULL ? "retry" : note};
    PGresult *rows =
        db_query(&session->db,
                 "SELECT tripmeter.dead_retry($1, $2::integer, $3::bigint, $4::integer,"
                 " $5::timestamptz, $6::bytea, $7::bytea, $8, $9)",
                 values, 9, why);

    PQclear(rows);
    return rows != NULL;
}

static bool
fetch(struct session *session, const struct letter *letter, struct arena *arena,
      struct reader_record *record, struct err *why)
{
    const struct reader_start start = {
        .topic = letter->at.topic, .partition = letter->at.partition, .offset = letter->at.offset};
    char hash[DIGEST_HEX_SIZE];

    if (!reader_fetch(session->config, &start, arena, record, why))
        return false;
    digest_hex(record->value.at == NULL ? TEXT("") : record->value, hash);
    return strcmp(hash, letter->hash) == 0 ||
           err_set(why, ERR_INPUT, "the topic now holds another record there: was it made anew?");
}

/* Fetched before the transaction is begun: an open one that waits for Kafka is cut by the server. */
static bool
hand_over(struct session *session, const struct letter *letter, const struct arguments *arguments,
          struct applied *applied, struct err *why)
{
    struct arena *arena = arena_new(RECORD_MEMORY);
    struct reader_record record = {.time_ms = 0};
    const bool good = arena == NULL ? err_set(why, ERR_FATAL, "out of memory")
                                    : fetch(session, letter, arena, &record, why) &&
                                          db_execute(&session->db, "BEGIN", why) &&
                                          issue(session, letter, arguments, &record, arena, why) &&
                                          applied_begin(&session->db, applied, why) &&
                                          db_execute(&session->db, "COMMIT", why);

    if (!good)
        db_rollback(&session->db);
    arena_free(arena);
    return good;
}

enum outcome_of_retry { RETRY_APPLIED, RETRY_REFUSED, RETRY_WAITING, RETRY_FAILED, RETRY_OUTCOMES };

static enum outcome_of_retry
retry(struct session *session, const struct letter *letter, const struct arguments *arguments,
      struct err *why)
{
    struct applied applied = {.ids = NULL};
    const struct position *at = &letter->at;
    enum outcome_of_retry outcome = RETRY_FAILED;
    struct err one = {.class = ERR_NONE};

    printf("%s/%" PRId32 "/%" PRId64 "/%" PRId32 ": ", at->topic, at->partition, at->offset,
           at->index);
    if (!hand_over(session, letter, arguments, &applied, &one) ||
        !applied_wait(&session->db, &applied,
                      option_given(arguments, "no-wait") ? 0 : RETRY_WAIT_MS, &one))
        printf("%s\n", one.text);
    else if (applied.done < applied.count) {
        outcome = RETRY_WAITING;
        puts("handed to the engine, not applied yet");
    } else if (applied.error[0] != '\0') {
        outcome = RETRY_REFUSED;
        printf("refused again: %s\n", applied.error);
    } else {
        outcome = RETRY_APPLIED;
        puts("counted");
    }
    applied_free(&applied);
    if (one.class == ERR_RETRY)
        *why = one;
    return outcome;
}

/* ---- the command ------------------------------------------------------------------------------------ */

static enum answer
retry_all(struct session *session, const struct arguments *arguments, struct err *why)
{
    size_t outcomes[RETRY_OUTCOMES] = {0};
    size_t count = 0;
    struct letter *letters = calloc(RETRY_LIMIT, sizeof *letters);
    const bool found = letters == NULL
                           ? err_set(why, ERR_FATAL, "out of memory")
                           : find_letters(&session->db, arguments, letters, &count, why);

    /* A server that is gone is gone for the rest of them, too. */
    for (size_t i = 0; found && i < count && why->class == ERR_NONE; i++)
        outcomes[retry(session, &letters[i], arguments, why)]++;
    free(letters);
    if (found)
        printf("%zu dead letters: %zu counted, %zu refused again, %zu waiting for the engine, "
               "%zu failed\n",
               count, outcomes[RETRY_APPLIED], outcomes[RETRY_REFUSED], outcomes[RETRY_WAITING],
               outcomes[RETRY_FAILED]);
    return outcomes[RETRY_REFUSED] + outcomes[RETRY_FAILED] > 0 ? ANSWER_NO : ANSWER_FINE;
}

static enum answer
run_retry(const struct arguments *arguments)
{
    struct err why = {.class = ERR_NONE};
    struct session session;
    enum answer answer;

    if ((arguments->word_count == 0) != option_given(arguments, "reason")) {
        command_complain("which? Name positions, or --reason REASON for all of that reason");
        return ANSWER_USAGE;
    }
    if (!session_open(&session, arguments, &answer))
        return answer;
    answer = retry_all(&session, arguments, &why);
    return session_close(&session, answer, &why);
}

static const struct option_row retry_options[] = {
    OPTION_CONFIG,
    {"reason", "REASON", "all of that reason, at most 1,000", false},
    {"note", "TEXT", "why it is read again; kept with the command", false},
    OPTION_ACTOR,
    OPTION_NO_WAIT,
    {NULL, NULL, NULL, false}};

const struct command_row command_dead_retry = {
    .name = "dead retry",
    .words = "TOPIC/PARTITION/OFFSET[/INDEX] ...",
    .least = 0,
    .most = 1000,
    .what = "Read refused events again, exactly once",
    .more =
        "The record is fetched from Kafka by its position and handed to the engine, which counts\n"
        "it once, however often this is said. Waits up to 10 s for each.\n",
    .options = retry_options,
    .run = run_retry};
