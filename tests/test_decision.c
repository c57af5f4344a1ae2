/* Protects: which restriction answers for a scope, and the keys of the control topic. */
#include "core/decision.h"
#include "tests/check.h"

static const struct text absent = {NULL, 0};

static void
test_build(void)
{
    static const struct {
        const char *row;
        const char *kind;
        struct text a;
        struct text b;
    } rows[] = {
        {"tenant/acme", "tenant", {"acme", 4}, {NULL, 0}},
        {"key/acme/k1", "key", {"acme", 4}, {"k1", 2}},
        {"ip/acme/203.0.113.5", "ip", {"acme", 4}, {"203.0.113.5", 11}},
        {"ip/acme/2001%3Adb8%3A%3A1", "ip", {"acme", 4}, {"2001:db8::1", 11}},
        {"model/a%2Fb/gpt%2520x", "model", {"a/b", 3}, {"gpt%20x", 7}},
        {"feature/%E6%97%A5/search", "feature", {"\xe6\x97\xa5", 3}, {"search", 6}},
        {"project/acme/", "project", {"acme", 4}, {"", 0}},
        {"quota/acme/seats", "quota", {"acme", 4}, {"seats", 5}},
    };
    struct arena *arena = arena_new(1 << 20);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scope_parts parts;
        char out[SCOPE_SIZE];

        CHECK_INT(rows[i].row, scope_build(out, rows[i].kind, rows[i].a, rows[i].b),
                  strlen(rows[i].row));
        CHECK_INT(rows[i].row, strcmp(out, rows[i].row), 0);
        CHECK_INT(rows[i].row, scope_split(text_of(out), arena, &parts), true);
        CHECK_INT(rows[i].row, text_eq(parts.kind, text_of(rows[i].kind)), true);
        CHECK_INT(rows[i].row, text_eq(parts.a, rows[i].a), true);
        CHECK_INT(rows[i].row, text_eq(parts.b, rows[i].b), true);
        CHECK_INT(rows[i].row, parts.b.at == NULL, rows[i].b.at == NULL);
    }
    arena_free(arena);
}

static void
test_build_room(void)
{
    char name[SCOPE_SIZE];
    char out[SCOPE_SIZE];
    const size_t most = SCOPE_SIZE - 1 - strlen("key/a/");

    memset(name, 'n', sizeof name);
    CHECK_INT("just fits", scope_build(out, "key", TEXT("a"), (struct text){name, most}),
              SCOPE_SIZE - 1);
    CHECK_INT("a byte too many", scope_build(out, "key", TEXT("a"), (struct text){name, most + 1}),
              0);
    CHECK_INT("nothing left behind", out[0], '\0');
    memset(name, '/', sizeof name);
    CHECK_INT("escapes count", scope_build(out, "key", TEXT("a"), (struct text){name, most / 2}),
              0);
}

static void
test_split_refuses(void)
{
    static const char *const rows[] = {
        "",           "tenant",       "tenant/a/b", "key/acme",     "key/acme/k1/x",
        "tenants/a",  "Tenant/a",     "/tenant/a",  "tenant/%4",    "tenant/%zz",
        "tenant/%00", "tenant/a%0Ab", "tenant/%C3", "key/acme/k1/",
    };
    struct arena *arena = arena_new(1 << 20);
    struct arena *full = arena_new(0);
    struct scope_parts parts;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_INT(rows[i], scope_split(text_of(rows[i]), arena, &parts), false);
    CU_ASSERT_FALSE(scope_split(absent, arena, &parts));
    CU_ASSERT_FALSE(scope_split(TEXT("tenant/acme"), full, &parts));
    arena_free(full);
    arena_free(arena);
}

static void
test_codes(void)
{
    for (size_t i = 0; i < CODE_COUNT; i++) {
        const struct code_row *row = &code_table[i];

        CHECK_INT(row->name, row->rank >= 1 && row->rank <= 7, true);
        CHECK_INT(row->name, row->outcome != OUTCOME_ALLOW, true);
        CHECK_INT(row->name, row->retryable, strcmp(row->action, "wait") == 0);
    }
    CHECK_INT("402", code_table[CODE_plan_allowance_exhausted].http_status, 402);
    CU_ASSERT_STRING_EQUAL(outcome_names[OUTCOME_DOWNGRADE], "downgrade");
}

static struct restriction
restriction_of(enum code code, struct text rule)
{
    return (struct restriction){.code = code, .rank = code_table[code].rank, .rule = rule};
}

#define NONE CODE_COUNT

static void
test_answer(void)
{
    static const struct {
        const char *row;
        enum code codes[3]; /* in order of arrival */
        enum code answer;
        enum outcome outcome;
    } rows[] = {
        {"none", {NONE, NONE, NONE}, NONE, OUTCOME_ALLOW},
        {"downgrade alone",
         {CODE_model_downgraded, NONE, NONE},
         CODE_model_downgraded,
         OUTCOME_DOWNGRADE},
        {"a denial beats a downgrade of lower rank",
         {CODE_model_downgraded, CODE_key_rate_limited, NONE},
         CODE_key_rate_limited,
         OUTCOME_THROTTLE},
        {"lowest rank, whatever the arrival",
         {CODE_prepaid_balance_too_low, CODE_tenant_disabled, CODE_plan_allowance_exhausted},
         CODE_tenant_disabled,
         OUTCOME_BLOCK},
        {"a throttle of lower rank beats a block",
         {CODE_feature_suspended, CODE_tenant_rate_limited, NONE},
         CODE_tenant_rate_limited,
         OUTCOME_THROTTLE},
        {"same rank: order of the table",
         {CODE_project_budget_exhausted, CODE_plan_allowance_exhausted, NONE},
         CODE_plan_allowance_exhausted,
         OUTCOME_BLOCK},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scope_state state = {.count = 0};
        const struct restriction *answer;

        for (size_t j = 0; j < 3; j++)
            if (rows[i].codes[j] != NONE) {
                const struct restriction one = restriction_of(rows[i].codes[j], TEXT("r"));

                scope_restrict(&state, &one);
            }
        answer = scope_answer(&state);
        CHECK_INT(rows[i].row, answer == NULL ? NONE : answer->code, rows[i].answer);
        CHECK_INT(rows[i].row, scope_outcome(&state), rows[i].outcome);
    }
}

static void
test_order_and_limit(void)
{
    struct scope_state state = {.count = 0};
    struct restriction one = restriction_of(CODE_tenant_disabled, absent);
    static char rules[RESTRICTION_LIMIT][2];

    for (size_t i = 0; i < RESTRICTION_LIMIT; i++) {
        rules[i][0] = (char)('p' - (char)i);
        one = restriction_of(CODE_plan_allowance_exhausted, (struct text){rules[i], 1});
        scope_restrict(&state, &one);
    }
    CHECK_INT("full", state.count, RESTRICTION_LIMIT);
    CHECK_INT("sorted by rule", state.restrictions[0].rule.at[0], 'a');
    one = restriction_of(CODE_prepaid_balance_too_low, absent);
    scope_restrict(&state, &one);
    CHECK_INT("a higher rank has no room", state.restrictions[15].code,
              CODE_plan_allowance_exhausted);
    one = restriction_of(CODE_tenant_disabled, absent);
    scope_restrict(&state, &one);
    CHECK_INT("still full", state.count, RESTRICTION_LIMIT);
    CHECK_INT("a lower rank comes first", state.restrictions[0].code, CODE_tenant_disabled);
    CHECK_INT("the highest is gone", state.restrictions[15].rule.at[0], 'o');
    /* Prepaid demanded outright: the same code with the rank of a hard block. */
    one = restriction_of(CODE_prepaid_balance_too_low, absent);
    one.rank = 1;
    scope_restrict(&state, &one);
    CHECK_INT("its own rank counts", state.restrictions[1].code, CODE_prepaid_balance_too_low);
}

static void
test_copy(void)
{
    struct arena *arena = arena_new(1 << 17);
    char name[] = "acme";
    struct scope_state from = {.scope = {name, 4}, .tenant = {name, 3}, .trigger = {name, 2}};
    struct restriction one = restriction_of(CODE_tenant_disabled, (struct text){name, 1});
    const struct scope_state *copy;

    one.currency = one.reason = one.actor = (struct text){name, 4};
    scope_restrict(&from, &one);
    copy = scope_copy(&from, arena);
    CU_ASSERT_PTR_NOT_NULL(copy);
    if (copy == NULL)
        return;
    memset(name, 'x', 4);
    CHECK_INT("scope", text_eq(copy->scope, TEXT("acme")), true);
    CHECK_INT("tenant", text_eq(copy->tenant, TEXT("acm")), true);
    CHECK_INT("trigger", text_eq(copy->trigger, TEXT("ac")), true);
    CHECK_INT("rule", text_eq(copy->restrictions[0].rule, TEXT("a")), true);
    CHECK_INT("currency", text_eq(copy->restrictions[0].currency, TEXT("acme")), true);
    CHECK_INT("reason", text_eq(copy->restrictions[0].reason, TEXT("acme")), true);
    CHECK_INT("actor", text_eq(copy->restrictions[0].actor, TEXT("acme")), true);
    for (int i = 0; i < 1000 && copy != NULL; i++)
        copy = scope_copy(&from, arena);
    CU_ASSERT_PTR_NULL(copy);
    arena_free(arena);
}

static CU_TestInfo tests[] = {
    {"scopes there and back", test_build},
    {"scopes that do not fit", test_build_room},
    {"scopes that are none", test_split_refuses},
    {"table of codes", test_codes},
    {"who answers", test_answer},
    {"order and limit", test_order_and_limit},
    {"copy", test_copy},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_decision = {.pName = "decision", .pTests = tests};
