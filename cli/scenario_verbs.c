#include "cli/scenario.h"

/* What a limit takes is the business of the contract (api_calls=2000, spend=250.00, unlimited). */
static const struct field_row tenant_fields[] = {
    {"plan", VALUE_TEXT, NULL},     {"zone", VALUE_TEXT, NULL},   {"cycle", VALUE_TEXT, NULL},
    {"currency", VALUE_TEXT, NULL}, {"charge", VALUE_TEXT, NULL}, {"limit", VALUE_TEXT, NULL},
    {NULL, VALUE_TEXT, NULL}};
static const struct field_row project_fields[] = {{"limit", VALUE_TEXT, NULL},
                                                  {NULL, VALUE_TEXT, NULL}};
static const struct field_row limit_fields[] = {{"project", VALUE_TEXT, NULL},
                                                {NULL, VALUE_TEXT, NULL}};

/* Values of an event are the decoder's to judge: what is refused is told as a dead letter. */
static const struct field_row event_fields[] = {
    {"times", VALUE_COUNT, NULL},
    {"every", VALUE_DURATION, NULL},
    {"happened", VALUE_TIME, NULL},
    {"id", VALUE_TEXT, NULL},
    {"source", VALUE_TEXT, NULL},
    {"of", VALUE_TEXT, NULL},
    {"reservation", VALUE_TEXT, NULL},
    {"final", VALUE_YES, NULL},
    {"attempt", VALUE_COUNT, NULL},
    {"project", VALUE_TEXT, NULL},
    {"feature", VALUE_TEXT, NULL},
    {"key", VALUE_TEXT, NULL},
    {"ip", VALUE_TEXT, NULL},
    {"provider", VALUE_TEXT, NULL},
    {"model", VALUE_TEXT, NULL},
    {"status", VALUE_TEXT, "succeeded|failed|cancelled|partial"},
    {"cost", VALUE_TEXT, NULL},
    {"currency", VALUE_TEXT, NULL},
    {"requests", VALUE_COUNT, NULL},
    {"input_tokens", VALUE_COUNT, NULL},
    {"cache_read_tokens", VALUE_COUNT, NULL},
    {"cache_write_tokens", VALUE_COUNT, NULL},
    {"output_tokens", VALUE_COUNT, NULL},
    {"reasoning_tokens", VALUE_COUNT, NULL},
    {"images", VALUE_COUNT, NULL},
    {"audio_ms", VALUE_COUNT, NULL},
    {"bytes", VALUE_COUNT, NULL},
    {NULL, VALUE_TEXT, NULL}};
static const struct field_row reservation_fields[] = {
    {"reservation", VALUE_TEXT, NULL}, {"cost", VALUE_TEXT, NULL},
    {"currency", VALUE_TEXT, NULL},    {"expires", VALUE_TIME, NULL},
    {"feature", VALUE_TEXT, NULL},     {"id", VALUE_TEXT, NULL},
    {"times", VALUE_COUNT, NULL},      {"every", VALUE_DURATION, NULL},
    {NULL, VALUE_TEXT, NULL}};
static const struct field_row gauge_fields[] = {{"happened", VALUE_TIME, NULL},
                                                {NULL, VALUE_TEXT, NULL}};
static const struct field_row duplicate_fields[] = {{"id", VALUE_TEXT, NULL},
                                                    {NULL, VALUE_TEXT, NULL}};
static const struct field_row operator_fields[] = {{"for", VALUE_DURATION, NULL},
                                                   {"until", VALUE_TIME, NULL},
                                                   {"reason", VALUE_TEXT, NULL},
                                                   {"by", VALUE_TEXT, NULL},
                                                   {NULL, VALUE_TEXT, NULL}};

static const struct field_row alert_fields[] = {
    {"tenant", VALUE_TEXT, NULL},
    {"project", VALUE_TEXT, NULL},
    {"feature", VALUE_TEXT, NULL},
    {"key", VALUE_TEXT, NULL},
    {"ip", VALUE_TEXT, NULL},
    {"provider", VALUE_TEXT, NULL},
    {"model", VALUE_TEXT, NULL},
    {"step", VALUE_COUNT, NULL},
    {"crossed", VALUE_TEXT, NULL},
    {"step_amount", VALUE_AMOUNT, NULL},
    {"crossed_amounts", VALUE_TEXT, NULL},
    {"severity", VALUE_TEXT, "info|warning|error|critical"},
    {"reason", VALUE_TEXT,
     "cleared|period_rollover|limit_raised|topped_up|rule_removed|operator|breaker_closed"},
    {"value", VALUE_AMOUNT, NULL},
    {"threshold", VALUE_AMOUNT, NULL},
    {"unit", VALUE_TEXT, NULL},
    {"restricts", VALUE_YES, NULL},
    {"resets", VALUE_TIME, NULL},
    {"at", VALUE_TIME, NULL},
    {"saying", VALUE_TEXT, NULL},
    {NULL, VALUE_TEXT, NULL}};
static const struct field_row decision_fields[] = {
    {"code", VALUE_TEXT, NULL},   {"rule", VALUE_TEXT, NULL},   {"http", VALUE_COUNT, NULL},
    {"until", VALUE_TIME, NULL},  {"used", VALUE_AMOUNT, NULL}, {"limit", VALUE_AMOUNT, NULL},
    {"resets", VALUE_TIME, NULL}, {"reason", VALUE_TEXT, NULL}, {"restrictions", VALUE_COUNT, NULL},
    {"at", VALUE_TIME, NULL},     {NULL, VALUE_TEXT, NULL},
};
static const struct field_row dead_fields[] = {
    {"tenant", VALUE_TEXT, NULL}, {"id", VALUE_TEXT, NULL}, {NULL, VALUE_TEXT, NULL}};
static const struct field_row refused_fields[] = {{"saying", VALUE_TEXT, NULL},
                                                  {NULL, VALUE_TEXT, NULL}};
static const struct field_row status_fields[] = {
    {"project", VALUE_TEXT, NULL},     {"of", VALUE_TEXT, NULL},
    {"used", VALUE_AMOUNT, NULL},      {"limit", VALUE_AMOUNT, NULL},
    {"base", VALUE_AMOUNT, NULL},      {"carry", VALUE_AMOUNT, NULL},
    {"remaining", VALUE_AMOUNT, NULL}, {"over", VALUE_AMOUNT, NULL},
    {"percent", VALUE_COUNT, NULL},    {"level", VALUE_TEXT, "ok|info|warning|critical|exceeded"},
    {"approaching", VALUE_YES, NULL},  {"blocked", VALUE_YES, NULL},
    {"unlimited", VALUE_YES, NULL},    {"unallocated", VALUE_AMOUNT, NULL},
    {"today", VALUE_AMOUNT, NULL},     {"day_share", VALUE_AMOUNT, NULL},
    {"forecast", VALUE_AMOUNT, NULL},  {"resets", VALUE_TIME, NULL},
    {NULL, VALUE_TEXT, NULL}};
static const struct field_row breaker_fields[] = {
    {"state", VALUE_TEXT,
     "learning|shadow|closed|open|half_open|ramp|latched|forced_open|forced_closed"},
    {"until", VALUE_TIME, NULL},
    {"opens", VALUE_COUNT, NULL},
    {"baseline", VALUE_AMOUNT, NULL},
    {"typical", VALUE_AMOUNT, NULL},
    {"hour", VALUE_AMOUNT, NULL},
    {"window", VALUE_AMOUNT, NULL},
    {"would_block", VALUE_AMOUNT, NULL},
    {NULL, VALUE_TEXT, NULL}};
#define METRICS "cost|requests|tokens|cost_per_request|output_per_request|fallback_share"
static const struct field_row answer_fields[] = {{"feature", VALUE_TEXT, NULL},
                                                 {NULL, VALUE_TEXT, NULL}};
static const struct field_row note_fields[] = {
    {"feature", VALUE_TEXT, NULL}, {"tier", VALUE_TEXT, "note|ticket|page"},
    {"since", VALUE_TIME, NULL},   {"records", VALUE_COUNT, NULL},
    {"value", VALUE_AMOUNT, NULL}, {"usual", VALUE_AMOUNT, NULL},
    {"folded", VALUE_TEXT, NULL},  {"over", VALUE_YES, NULL},
    {"saying", VALUE_TEXT, NULL},  {NULL, VALUE_TEXT, NULL}};
static const struct field_row carry_fields[] = {
    {"project", VALUE_TEXT, NULL}, {"at", VALUE_TIME, NULL},        {"starts", VALUE_TIME, NULL},
    {"ends", VALUE_TIME, NULL},    {"unlimited", VALUE_YES, NULL},  {"base", VALUE_AMOUNT, NULL},
    {"carry", VALUE_AMOUNT, NULL}, {"closed", VALUE_YES, NULL},     {"final", VALUE_YES, NULL},
    {"limit", VALUE_AMOUNT, NULL}, {"used", VALUE_AMOUNT, NULL},    {"unused", VALUE_AMOUNT, NULL},
    {"over", VALUE_AMOUNT, NULL},  {"carried", VALUE_AMOUNT, NULL}, {NULL, VALUE_TEXT, NULL}};
static const struct field_row total_fields[] = {
    {"project", VALUE_TEXT, NULL},    {"at", VALUE_TIME, NULL},
    {"starts", VALUE_TIME, NULL},     {"ends", VALUE_TIME, NULL},
    {"cost", VALUE_AMOUNT, NULL},     {"charge", VALUE_AMOUNT, NULL},
    {"refunded", VALUE_AMOUNT, NULL}, {"estimate", VALUE_AMOUNT, NULL},
    {"adjusted", VALUE_AMOUNT, NULL}, {"final", VALUE_YES, NULL},
#define COUNT(name, what) {#name, VALUE_COUNT, NULL},
#include "core/meter.def"
#undef COUNT
    {NULL, VALUE_TEXT, NULL}};

#define SUBJECT(name)          \
    {                          \
        name, VALUE_TEXT, NULL \
    }

const struct verb_row scenario_verbs[] = {
    {"times in", VERB_TIMES_IN, {SUBJECT("a zone")}, NULL},
    {"policy", VERB_POLICY, {SUBJECT("a file")}, NULL},
    {"tenant", VERB_TENANT, {SUBJECT("a tenant")}, tenant_fields},
    {"project", VERB_PROJECT, {SUBJECT("a tenant"), SUBJECT("a project")}, project_fields},
    {"limit",
     VERB_LIMIT,
     {SUBJECT("a tenant"), SUBJECT("a quota"), SUBJECT("a limit, \"unlimited\" or \"plan\"")},
     limit_fields},
    {"use", VERB_USE, {SUBJECT("a tenant")}, event_fields},
    {"settle", VERB_SETTLE, {SUBJECT("a tenant")}, event_fields},
    {"reserve", VERB_RESERVE, {SUBJECT("a tenant")}, reservation_fields},
    {"release", VERB_RELEASE, {SUBJECT("a tenant")}, reservation_fields},
    {"gauge",
     VERB_GAUGE,
     {SUBJECT("a tenant"), SUBJECT("a gauge"), {"its value", VALUE_COUNT, NULL}},
     gauge_fields},
    {"refund", VERB_REFUND, {SUBJECT("a tenant")}, event_fields},
    {"correct", VERB_CORRECT, {SUBJECT("a tenant")}, event_fields},
    {"duplicate", VERB_DUPLICATE, {{NULL, VALUE_TEXT, NULL}}, duplicate_fields},
    {"time passes", VERB_TIME_PASSES, {{NULL, VALUE_TEXT, NULL}}, NULL},
    {"restart", VERB_RESTART, {{NULL, VALUE_TEXT, NULL}}, NULL},
    {"crash", VERB_CRASH, {{NULL, VALUE_TEXT, NULL}}, NULL},
    {"enforce", VERB_ENFORCE, {{"on or off", VALUE_TEXT, "on|off"}}, NULL},
    {"record", VERB_RECORD, {{"on or off", VALUE_TEXT, "on|off"}}, NULL},
    {"operator allows", VERB_OPERATOR_ALLOWS, {SUBJECT("a scope")}, operator_fields},
    {"operator blocks", VERB_OPERATOR_BLOCKS, {SUBJECT("a scope")}, operator_fields},
    {"breaker",
     VERB_BREAKER,
     {SUBJECT("a tenant"),
      SUBJECT("a feature"),
      {"a word", VALUE_TEXT, "trip|allow|reset|accept|shadow"}},
     operator_fields},
    {"anomaly",
     VERB_ANOMALY,
     {SUBJECT("a tenant"),
      {"a metric", VALUE_TEXT, METRICS},
      {"an answer", VALUE_TEXT, "real|planned|normal"}},
     answer_fields},
    {"expect nothing", VERB_EXPECT_NOTHING, {{NULL, VALUE_TEXT, NULL}}, NULL},
    {"expect alert",
     VERB_EXPECT_ALERT,
     {SUBJECT("a rule"), {"what the alert does", VALUE_TEXT, "fires|rises|resolves"}},
     alert_fields},
    {"expect allow", VERB_EXPECT_DECISION, {SUBJECT("a scope")}, decision_fields},
    {"expect downgrade", VERB_EXPECT_DECISION, {SUBJECT("a scope")}, decision_fields},
    {"expect throttle", VERB_EXPECT_DECISION, {SUBJECT("a scope")}, decision_fields},
    {"expect block", VERB_EXPECT_DECISION, {SUBJECT("a scope")}, decision_fields},
    {"expect dead", VERB_EXPECT_DEAD, {SUBJECT("a reason")}, dead_fields},
    {"expect refused", VERB_EXPECT_REFUSED, {{NULL, VALUE_TEXT, NULL}}, refused_fields},
    {"expect status", VERB_EXPECT_STATUS, {SUBJECT("a tenant"), SUBJECT("a quota")}, status_fields},
    {"expect breaker",
     VERB_EXPECT_BREAKER,
     {SUBJECT("a tenant"), SUBJECT("a feature")},
     breaker_fields},
    {"expect note",
     VERB_EXPECT_NOTE,
     {SUBJECT("a tenant"), {"a metric", VALUE_TEXT, METRICS}},
     note_fields},
    {"expect carry", VERB_EXPECT_CARRY, {SUBJECT("a tenant"), SUBJECT("a quota")}, carry_fields},
    {"expect total", VERB_EXPECT_TOTAL, {SUBJECT("a tenant")}, total_fields},
    {NULL, VERB_TIMES_IN, {{NULL, VALUE_TEXT, NULL}}, NULL}};
