/* replay: a file or the usage topics through a policy, or two side by side, without side effects. */
#include "cli/contract.h"
#include "cli/reader.h"
#include "cli/replay.h"
#include "cli/replay_past.h"
#include "config/file.h"
#include "ingest/decode.h"

#include <inttypes.h>
#include <stdlib.h>

#define POLICY_LIMIT  ((size_t)16 << 20)
#define RECORDS_LIMIT ((size_t)STAGE_FEED_LIMIT)
#define MEMORY_LIMIT  ((size_t)4 << 30)

struct taken {
    int64_t time_ms; /* of the partition: never falls within it */
    size_t policy;   /* of the past: that it was booked under */
    size_t topic;
    int32_t partition;
    int64_t offset;
    int32_t again; /* event of a record that was read again then; -1: the record itself */
    struct text value;
};

struct play {
    const struct arguments *arguments;
    struct arena *memory;
    struct policy *policies[2]; /* of --policy and --against; NULL: not given */
    struct replay *replay;
    struct past past;    /* of the topics, unless --policy stands in its place */
    struct list records; /* struct taken, of the topics */
    int64_t from_ms;
    int64_t to_ms;
};

/* ---- policies ------------------------------------------------------------------------------------- */

static bool
read_policy(struct play *play, const char *option, struct policy **policy, struct err *why)
{
    const char *path = option_value(play->arguments, option);
    struct findings findings = {.arena = NULL};
    struct text body;

    if (path == NULL)
        return true;
    if (!file_read(path, POLICY_LIMIT, play->memory, &body, why))
        return err_wrap(why, "%s", path);
    *policy = policy_load(path, body.at, body.size, &findings);
    if (*policy == NULL) {
        command_print_findings(&findings, false, stderr);
        (void)err_set(why, ERR_INPUT, "%s has errors", path);
    }
    findings_free(&findings);
    return *policy != NULL;
}

static bool
begin(struct play *play, const struct policy *preset, struct err *why)
{
    const struct policy *first = play->policies[0] == NULL ? preset : play->policies[0];

    play->replay = replay_new(first, play->policies[1]);
    return play->replay != NULL || err_set(why, ERR_FATAL, "out of memory");
}

/* ---- a file --------------------------------------------------------------------------------------- */

/* When the first event of the line happened; `before` when that cannot be told, or was earlier. */
static int64_t
time_of(struct decoder *decoder, struct text value, int64_t before)
{
    const struct record record = {.time_ms = DECODE_NO_TIME, .value = value};
    struct event event;
    struct dead dead;
    bool told = false;
    int64_t time_ms = before;

    decoder_open(decoder, &record);
    for (enum decoded found = decoder_next(decoder, &event, &dead); found != DECODED_END;
         found = decoder_next(decoder, &event, &dead)) {
        if (found == DECODED_EVENT && !told && event.at_ms > before)
            time_ms = event.at_ms;
        told = told || found == DECODED_EVENT;
    }
    return time_ms;
}

static bool
play_lines(struct play *play, FILE *file, struct err *why)
{
    struct decoder *decoder = decoder_new();
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    int64_t time_ms = 0;

    if (decoder == NULL)
        return err_set(why, ERR_FATAL, "out of memory");
    while ((size = getline(&line, &room, file)) >= 0) {
        const struct text value = {line, (size_t)size};

        if (strspn(line, " \t\r\n") == value.size)
            continue;
        time_ms = time_of(decoder, value, time_ms);
        replay_record(play->replay, time_ms, value);
    }
    free(line);
    decoder_free(decoder);
    return ferror(file) == 0 || err_set(why, ERR_INPUT, "the file cannot be read on");
}

/* Contracts from a file as `tenant import` takes it. */
static bool
read_tenants(struct play *play, const char *path, struct err *why)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    int number = 0;
    bool good = file != NULL || err_set(why, ERR_INPUT, "%s cannot be read", path);

    while (good && getline(&line, &room, file) >= 0) {
        static const char *const around[] = {"tenant", "reason", "actor", "from"};
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        const char *tenant = json_string_value(json_object_get(object, "tenant"));

        number++;
        good = tenant != NULL ||
               err_set(why, ERR_INPUT, "%s:%d: no object with a \"tenant\"", path, number);
        if (good) {
            const struct text name = arena_text(play->memory, text_of(tenant));

            for (size_t i = 0; i < 4; i++)
                (void)json_object_del(object, around[i]);
            replay_contract(play->replay, name, object);
        }
        json_decref(object);
    }
    free(line);
    if (file != NULL)
        (void)fclose(file);
    return good;
}

static enum answer
play_file(struct play *play, struct err *why)
{
    const char *name = play->arguments->words[0];
    const char *tenants = option_value(play->arguments, "tenants");
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "r");
    bool good = file != NULL || err_set(why, ERR_INPUT, "%s cannot be read", name);

    if (good && play->policies[0] == NULL)
        good = err_set(why, ERR_INPUT, "which policy? Say: --policy FILE");
    good = good && begin(play, NULL, why) &&
           (tenants == NULL || read_tenants(play, tenants, why)) && play_lines(play, file, why) &&
           replay_print(play->replay, stdout, why);
    if (file != NULL && file != stdin)
        (void)fclose(file);
    return good ? ANSWER_FINE : ANSWER_USAGE;
}

/* ---- topics --------------------------------------------------------------------------------------- */

static bool
too_many(struct err *why)
{
    return err_set(why, ERR_INPUT,
                   "2,000,000 records can be replayed at once: say --from and --to");
}

static bool
take_message(struct play *play, size_t topic, const rd_kafka_message_t *message, int64_t *time_ms,
             struct err *why)
{
    struct reader_record record;
    struct taken *taken;

    if (!reader_take(message, play->memory, &record, why))
        return false;
    if (record.time_ms > *time_ms)
        *time_ms = record.time_ms;
    if (*time_ms < play->from_ms || *time_ms >= play->to_ms)
        return true;
    taken = list_add(&play->records);
    if (taken == NULL)
        return too_many(why);
    *taken = (struct taken){.time_ms = *time_ms,
                            .policy = past_policy_of(&play->past, message->partition, *time_ms),
                            .topic = topic,
                            .partition = message->partition,
                            .offset = message->offset,
                            .again = -1,
                            .value = record.event};
    return true;
}

/* Dead letters that were read again are counted then, as if they stood there in the log. */
static bool
take_retries(struct play *play, struct session *session, struct err *why)
{
    struct list retries;

    list_init(&retries, sizeof(struct past_retry), RECORDS_LIMIT);
    bool good = past_retries(session, play->from_ms, play->to_ms, play->memory, &retries, why);

    for (size_t i = 0; good && i < retries.count; i++) {
        const struct past_retry *retry = list_at(&retries, i);
        struct taken *taken = list_add(&play->records);

        if (taken == NULL) {
            good = too_many(why);
            break;
        }
        *taken =
            (struct taken){.time_ms = retry->at_ms,
                           .policy = past_policy_of(&play->past, retry->partition, retry->at_ms),
                           .partition = retry->partition,
                           .offset = retry->offset,
                           .again = retry->index,
                           .value = retry->value};
    }
    list_free(&retries);
    return good;
}

static bool
read_topic(struct play *play, const struct config *config, size_t topic, struct err *why)
{
    const struct reader_start start = {
        .topic = config->kafka.topics[topic], .partition = -1, .offset = READER_BEGIN};
    struct reader *reader = reader_open(config, &start, why);
    const int32_t count = reader == NULL ? 0 : reader_partitions(reader);
    int64_t *times = calloc((size_t)count + 1, sizeof *times);
    bool good = reader != NULL && times != NULL;

    for (int32_t ended = 0; good && ended < count;) {
        rd_kafka_message_t *message = reader_next(reader, READER_WAIT_MS);

        if (message == NULL)
            good = err_set(why, ERR_RETRY, "topic %s: Kafka gives no record", start.topic);
        else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            ended++;
        else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            good = err_set(why, ERR_RETRY, "topic %s: %s", start.topic,
                           rd_kafka_message_errstr(message));
        else
            good = take_message(play, topic, message, &times[message->partition], why);
        if (message != NULL)
            rd_kafka_message_destroy(message);
    }
    free(times);
    reader_close(reader);
    return good;
}

static int
by_time(const void *a, const void *b)
{
    const struct taken *one = a;
    const struct taken *other = b;

    /* Partitions go over to a policy one after the other, within moments. */
    if (one->policy != other->policy)
        return one->policy > other->policy ? 1 : -1;
    if (one->time_ms != other->time_ms)
        return one->time_ms > other->time_ms ? 1 : -1;
    /* What was read again may refer to what came at that moment. */
    if ((one->again >= 0) != (other->again >= 0))
        return one->again >= 0 ? 1 : -1;
    if (one->topic != other->topic)
        return one->topic > other->topic ? 1 : -1;
    if (one->partition != other->partition)
        return one->partition > other->partition ? 1 : -1;
    if (one->offset != other->offset)
        return one->offset > other->offset ? 1 : -1;
    return (one->again > other->again) - (one->again < other->again);
}

/* Each version of a contract from when the engine applied it; but a tenant is loaded with what is
 * stored, be it applied or not: where its first period begins as its first contract has it, that one
 * held from the beginning, unless it came under a later policy than the first. */
static const char sql_contracts[] =
    "SELECT v.tenant, v.plan, v.zone, v.cycle, v.currency, v.charge, v.limits, v.projects,"
    " CASE WHEN v.version = 1 AND coalesce(c.policy, 0) <= $1 AND (v.zone IS NULL OR"
    "   coalesce((SELECT min(p.period) FROM tripmeter.period_total p WHERE p.tenant = v.tenant)"
    "    AT TIME ZONE v.zone, '2000-01-01')::time = '00:00') THEN 0 ELSE"
    "  floor(extract(epoch FROM coalesce(c.applied_time, v.created_at)) * 1000)::bigint END"
    " FROM tripmeter.tenant_version v LEFT JOIN tripmeter.command c ON c.kind = 'tenant'"
    "  AND c.tenant = v.tenant AND (c.body ->> 'version')::bigint = v.version"
    " ORDER BY 9, 1, v.version";

/* What was changed beside the records, in the order of time. */
struct changes {
    PGresult *contracts;
    int next;
    size_t policy; /* in force */
};

static void
change_contracts(struct play *play, struct changes *changes, int64_t until_ms)
{
    const PGresult *rows = changes->contracts;

    for (; changes->next < PQntuples(rows) && db_int(rows, changes->next, 8) <= until_ms;
         changes->next++) {
        json_t *contract = contract_of_row(rows, changes->next);

        replay_contract(play->replay, text_of(db_text(rows, changes->next, 0)), contract);
        json_decref(contract);
    }
}

static void
change_policy(struct play *play, struct changes *changes, size_t policy)
{
    while (changes->policy < policy) {
        const struct past_policy *next = &play->past.policies[++changes->policy];

        if (next->at_ms == INT64_MAX)
            continue; /* no partition has gone over to it */
        change_contracts(play, changes, next->at_ms);
        replay_policy(play->replay, next->policy, next->at_ms);
    }
}

/* Begins with what was carried into the periods of the first record. */
static bool
begin_topics(struct play *play, struct session *session, struct err *why)
{
    const struct taken *first = play->records.count == 0 ? NULL : list_at(&play->records, 0);
    const struct policy *preset =
        play->past.policy_count == 0
            ? session->policy
            : play->past.policies[first == NULL ? 0 : first->policy].policy;
    struct list carries;
    bool good = begin(play, preset, why);

    list_init(&carries, sizeof(struct carry_memory), RECORDS_LIMIT);
    good = good &&
           (first == NULL || past_carries(session, first->time_ms, play->memory, &carries, why));
    for (size_t i = 0; good && i < carries.count; i++)
        replay_carried(play->replay, list_at(&carries, i));
    list_free(&carries);
    return good;
}

static bool
play_records(struct play *play, struct session *session, struct err *why)
{
    const struct taken *first = play->records.count == 0 ? NULL : list_at(&play->records, 0);
    struct changes changes = {.policy = first == NULL ? 0 : first->policy};
    char serial[24];
    const char *const values[] = {serial};

    (void)snprintf(serial, sizeof serial, "%" PRId64,
                   play->past.policy_count == 0 ? INT64_MAX
                                                : play->past.policies[changes.policy].serial);
    changes.contracts = db_query(&session->db, sql_contracts, values, 1, why);
    if (changes.contracts == NULL)
        return false;
    for (size_t i = 0; i < play->records.count; i++) {
        const struct taken *taken = list_at(&play->records, i);

        change_policy(play, &changes, taken->policy);
        change_contracts(play, &changes, taken->time_ms);
        if (taken->again < 0)
            replay_record(play->replay, taken->time_ms, taken->value);
        else
            replay_revive(play->replay, taken->time_ms, taken->value, taken->again);
    }
    /* Prices that came after the range are in the totals as well. */
    if (play->to_ms != INT64_MAX)
        replay_quietly(play->replay);
    if (play->past.policy_count > 0)
        change_policy(play, &changes, play->past.policy_count - 1);
    PQclear(changes.contracts);
    return true;
}

static bool
time_option(const struct play *play, const char *name, int64_t *out, struct err *why)
{
    const char *value = option_value(play->arguments, name);

    return value == NULL || clock_parse(text_of(value), out) ||
           err_set(why, ERR_INPUT, "--%s %s is no time: 2026-03-01T00:00:00Z", name, value);
}

static enum answer
compare(const struct play *play, struct session *session, struct err *why)
{
    const struct taken *first = play->records.count == 0 ? NULL : list_at(&play->records, 0);
    const int64_t from_ms = play->from_ms != INT64_MIN ? play->from_ms
                            : first == NULL            ? INT64_MAX
                                                       : first->time_ms;

    return past_compare(play->replay, session, from_ms, play->to_ms, why) ? ANSWER_FINE : ANSWER_NO;
}

static enum answer
play_topics(struct play *play, struct session *session, struct err *why)
{
    bool good = play->policies[0] != NULL || past_read(&play->past, session, why);

    for (size_t t = 0; good && t < session->config->kafka.topic_count; t++)
        good = read_topic(play, session->config, t, why);
    good = good && take_retries(play, session, why);
    if (good && play->records.count > 0)
        qsort(play->records.at, play->records.count, sizeof(struct taken), by_time);
    good = good && begin_topics(play, session, why) && play_records(play, session, why) &&
           replay_print(play->replay, stdout, why);
    if (!good)
        return ANSWER_NO;
    /* Under another policy, other totals are no fault. */
    return play->policies[0] == NULL ? compare(play, session, why) : ANSWER_FINE;
}

static enum answer
run_replay(const struct arguments *arguments)
{
    struct play play = {.arguments = arguments,
                        .memory = arena_new(MEMORY_LIMIT),
                        .from_ms = INT64_MIN,
                        .to_ms = INT64_MAX};
    struct err why = {.class = ERR_NONE};
    struct session session;
    enum answer answer = ANSWER_USAGE;

    list_init(&play.records, sizeof(struct taken), RECORDS_LIMIT);
    if (play.memory != NULL && read_policy(&play, "policy", &play.policies[0], &why) &&
        read_policy(&play, "against", &play.policies[1], &why) &&
        time_option(&play, "from", &play.from_ms, &why) &&
        time_option(&play, "to", &play.to_ms, &why)) {
        if (arguments->word_count > 0)
            answer = play_file(&play, &why);
        else if (session_open(&session, arguments, &answer)) {
            answer = play_topics(&play, &session, &why);
            answer = session_close(&session, answer, &why);
            why.class = ERR_NONE; /* said already */
        }
    }
    if (why.class != ERR_NONE)
        command_complain("%s", why.text);
    replay_free(play.replay);
    past_free(&play.past);
    policy_free(play.policies[0]);
    policy_free(play.policies[1]);
    list_free(&play.records);
    arena_free(play.memory);
    return answer;
}

static const struct option_row replay_options[] = {
    OPTION_CONFIG,
    {"policy", "FILE", "the policy to play by (else those that were in force)", false},
    {"against", "FILE", "another one beside it: only differences are told", false},
    {"tenants", "FILE", "contracts for a file, as tenant import takes them", false},
    {"from", "TIME", "records of the topics from then on", false},
    {"to", "TIME", "records of the topics before that", false},
    {NULL, NULL, NULL, false}};

const struct command_row command_replay = {
    .name = "replay",
    .words = "[FILE]",
    .least = 0,
    .most = 1,
    .what = "Play events through a policy and tell what would have been alerted and decided",
    .more =
        "FILE holds an event a line (- is the standard input); an event's own time is that of\n"
        "its record, as long as it does not fall. Without FILE the usage topics are read, with\n"
        "the policies, price lists and contracts as the engine went over to them, what quotas\n"
        "had carried into the periods where the range begins, and final periods must come out as\n"
        "settled (exit status 1 when one does not). Nothing is written anywhere; the same input "
        "gives\n"
        "the same output. With --against, a line that only the first policy causes begins with\n"
        "'-', one that only the second does with '+'.\n",
    .options = replay_options,
    .run = run_replay};
