/* allow, block, enforce: the operator's brake. */
#include "cli/applied.h"
#include "cli/moment.h"
#include "cli/scope.h"
#include "cli/session.h"

#include <inttypes.h>

static const struct option_row word_options[] = {
    OPTION_CONFIG,
    {"for", "DURATION", "how long: 90s, 15m, 2h, 1d12h, or ever (until --revoke)", false},
    {"reason", "TEXT", "why; gateways show it, and it is kept", false},
    {"revoke", NULL, "back to the rules, whatever was said before", false},
    OPTION_ACTOR,
    OPTION_NO_WAIT,
    {NULL, NULL, NULL, false}};

struct word {
    char scope[SCOPE_SIZE];
    const char *kind; /* allow, block, revoke */
    int64_t for_ms;   /* 0: until revoked */
    const char *actor;
    const char *reason;
};

static bool
read_word(const struct arguments *arguments, const char *kind, struct word *word, struct err *why)
{
    const char *duration = option_value(arguments, "for");

    *word = (struct word){.kind = option_given(arguments, "revoke") ? "revoke" : kind,
                          .actor = command_actor(arguments)};
    if (!scope_of_word(arguments->words[0], word->scope, why))
        return false;
    word->reason = command_reason(arguments, why);
    if (word->reason == NULL)
        return false;
    if (option_given(arguments, "revoke"))
        return duration == NULL || err_set(why, ERR_INPUT, "--revoke and --for do not go together");
    if (duration == NULL)
        return err_set(why, ERR_INPUT, "for how long? Say it with --for 2h (or --for ever)");
    if (strcmp(duration, "ever") == 0)
        return true;
    if (!clock_parse_duration(text_of(duration), &word->for_ms) || word->for_ms == 0)
        return err_set(why, ERR_INPUT, "--for %s is no duration: 90s, 15m, 2h, 1d12h or ever",
                       duration);
    return true;
}

/* A scope of a tenant that nobody has heard of is usually a slip. */
static bool
note_unknown_tenant(struct db *db, const char *scope, struct err *why)
{
    const char *const values[] = {scope};

    if (strncmp(scope, "feature/*/", 10) == 0)
        return true;
    PGresult *rows =
        db_query(db,
                 "SELECT t, EXISTS (SELECT FROM tripmeter.tenant_version v"
                 "  WHERE v.tenant = t) OR EXISTS (SELECT FROM tripmeter.tenant_shard s"
                 "  WHERE s.tenant = t AND NOT s.provisional)"
                 " FROM tripmeter.percent_decode(split_part($1, '/', 2)) t",
                 values, 1, why);

    if (rows == NULL)
        return false;
    if (!db_true(rows, 0, 1))
        printf("note: tenant \"%s\" has no contract and has sent nothing yet: misspelt?\n",
               db_text(rows, 0, 0));
    PQclear(rows);
    return true;
}

/* Shard time is wall time shifted by clock.offset, and words are compared with it. */
static bool
say(struct session *session, const struct arguments *arguments, void *what, struct err *why)
{
    const struct word *word = what;
    char lasts[48];
    char offset[48];
    char until[MOMENT_SIZE];

    (void)arguments;
    if (!note_unknown_tenant(&session->db, word->scope, why))
        return false;
    (void)snprintf(lasts, sizeof lasts, "%" PRId64 " milliseconds", word->for_ms);
    (void)snprintf(offset, sizeof offset, "%" PRId64 " milliseconds",
                   session->config->clock_offset_ms);
    const char *const values[] = {word->scope, word->kind,   word->for_ms == 0 ? NULL : lasts,
                                  word->actor, word->reason, offset};
    PGresult *rows =
        db_query(&session->db,
                 "SELECT tripmeter.operator_say($1, $2, u, $4, $5,"
                 " now() + $6::interval), " DB_MS(
                     "u") " FROM (SELECT now() + $6::interval + $3::interval AS u) AS x",
                 values, 6, why);

    if (rows == NULL)
        return false;
    if (strcmp(word->kind, "revoke") == 0)
        printf("%s: back to the rules", word->scope);
    else
        printf("%s: %s %s%s", word->scope, word->kind, word->for_ms == 0 ? "" : "until ",
               word->for_ms == 0 ? "until revoked" : moment_text(NULL, db_int(rows, 0, 1), until));
    printf(", by %s: %s\n", word->actor, word->reason);
    PQclear(rows);
    return true;
}

static enum answer
run_word(const struct arguments *arguments, const char *kind)
{
    struct err why = {.class = ERR_NONE};
    struct word word;

    if (!read_word(arguments, kind, &word, &why))
        return command_misused(&why);
    return applied_command(arguments, say, &word);
}

static enum answer
run_allow(const struct arguments *arguments)
{
    return run_word(arguments, "allow");
}

static enum answer
run_block(const struct arguments *arguments)
{
    return run_word(arguments, "block");
}

static const char scopes_help[] =
    "A scope is tenant/T, project/T/P, key/T/K, feature/T/F, model/T/M or ip/T/ADDRESS, where T "
    "is\n"
    "the tenant, or feature/*/F: of all tenants. What is not a letter, a digit or one of - . _ ~ "
    "is\n"
    "percent-encoded on the control topic; here it may be typed as it is. The last word said of a "
    "scope holds, until it ends.\n"
    "\n"
    "  tripmeter block key/acme/k1 --for 2h --reason \"leaked key\"\n"
    "  tripmeter allow tenant/acme --for 1d --reason \"contract is being signed\"\n"
    "  tripmeter block key/acme/k1 --revoke --reason \"key was rotated\"\n";

const struct command_row command_allow = {
    .name = "allow",
    .words = "SCOPE",
    .least = 1,
    .most = 1,
    .what = "Let a scope pass for a while, whatever the rules say",
    .more = scopes_help,
    .options = word_options,
    .run = run_allow};

const struct command_row command_block = {.name = "block",
                                          .words = "SCOPE",
                                          .least = 1,
                                          .most = 1,
                                          .what = "Block a scope for a while",
                                          .more = scopes_help,
                                          .options = word_options,
                                          .run = run_block};

/* ---- enforce ----------------------------------------------------------------------------------- */

static const struct option_row enforce_options[] = {
    OPTION_CONFIG,
    {"reason", "TEXT", "why; kept, and shown on the status page", false},
    OPTION_ACTOR,
    OPTION_NO_WAIT,
    {NULL, NULL, NULL, false}};

static bool
enforce(struct session *session, const struct arguments *arguments, void *what, struct err *why)
{
    const char *word = arguments->words[0];
    const char *const values[] = {strcmp(word, "on") == 0 ? "true" : "false",
                                  command_actor(arguments), option_value(arguments, "reason")};
    PGresult *rows = db_query(&session->db, "SELECT tripmeter.enforce($1, $2, $3)", values, 3, why);

    (void)what;
    if (rows == NULL)
        return false;
    PQclear(rows);
    printf("enforcement %s, by %s: %s\n", word, values[1], values[2]);
    if (strcmp(word, "off") == 0)
        puts("everything is allowed; metering goes on. Back: tripmeter enforce on --reason TEXT");
    return true;
}

static enum answer
run_enforce(const struct arguments *arguments)
{
    struct err why = {.class = ERR_NONE};
    const char *word = arguments->words[0];

    if (strcmp(word, "on") != 0 && strcmp(word, "off") != 0) {
        command_complain("enforce on, or enforce off? Not \"%s\"", word);
        return ANSWER_USAGE;
    }
    return command_reason(arguments, &why) == NULL ? command_misused(&why)
                                                   : applied_command(arguments, enforce, NULL);
}

const struct command_row command_enforce = {
    .name = "enforce",
    .words = "on|off",
    .least = 1,
    .most = 1,
    .what = "Switch all enforcement off or on",
    .more =
        "off: every scope is allowed within two seconds; metering, totals and alerts go on. It\n"
        "is audited, and the first line of the status page.\n",
    .options = enforce_options,
    .run = run_enforce};
