/* Protects: a price list means what its file says, and what cannot be meant is refused where it
 * stands. */
#include "config/policy_prices.h"
#include "config/price_load.h"
#include "tests/config_check.h"

#include <stdio.h>

#define HEAD                                                          \
    "fallback_plan: free\n"                                           \
    "plans: {free: {quotas: {calls: {meter: requests, limit: 1}}}}\n" \
    "prices: {providers: prices.yaml, retail: own.yaml}\n"

/* Lists stand from line 5 on, the providers' first. */
static void
load(const char *providers, const char *retail)
{
    char body[8192];

    (void)snprintf(body, sizeof body, HEAD "--- # prices.yaml\n%s--- # own.yaml\n%s", providers,
                   retail);
    checked_policy(body);
}

#define NOTHING "providers: {}\n"

static int64_t
pico_of(const char *provider, const char *model, const char *at, enum price_part part,
        int64_t input)
{
    const int64_t usage[USAGE_COUNT] = {[USAGE_INPUT_TOKENS] = input};
    int64_t at_ms = 0;

    CU_ASSERT(clock_parse(text_of(at), &at_ms));
    const struct price_version *version =
        price_find(checked.policy->prices.providers, text_of(provider), text_of(model), at_ms);

    return version == NULL ? -1 : price_for(version, usage)->pico[part];
}

/* ---- what is taken ------------------------------------------------------------------------------- */

static void
test_whole(void)
{
    static const struct {
        const char *provider, *model, *at;
        int64_t input;
        enum price_part part;
        int64_t pico;
    } rows[] = {
        {"lab", "a-1", "2026-01-01T00:00:00Z", 1, PRICE_INPUT, 1000000},
        {"lab", "a-1", "2026-01-01T00:00:00Z", 1, PRICE_CACHE_READ, 1000000},
        {"lab", "a-1", "2026-01-01T00:00:00Z", 1, PRICE_CACHE_WRITE, 1250000},
        {"lab", "a-1", "2026-01-01T00:00:00Z", 1, PRICE_REASONING, 4000000},
        {"lab", "a-1", "2026-01-01T00:00:00Z", 1, PRICE_REQUEST, 0},
        {"lab", "a-latest", "2026-01-01T00:00:00Z", 1, PRICE_OUTPUT, 4000000},
        {"lab", "a-1", "2026-01-01T00:00:00Z", 200000, PRICE_INPUT, 1000000},
        {"lab", "a-1", "2026-01-01T00:00:00Z", 200001, PRICE_INPUT, 2000000},
        {"lab", "a-1", "2026-01-01T00:00:00Z", 200001, PRICE_CACHE_READ, 2000000},
        {"lab", "a-1", "2026-01-01T00:00:00Z", 200001, PRICE_CACHE_WRITE, 1250000},
        {"lab", "a-1", "2026-01-01T00:00:00Z", 200001, PRICE_OUTPUT, 4000000},
        {"lab", "v-1", "2025-12-31T23:59:59.999Z", 1, PRICE_INPUT, -1},
        {"lab", "v-1", "2026-01-01T00:00:00Z", 1, PRICE_INPUT, 5},
        {"lab", "v-1", "2026-02-01T07:59:59.999Z", 1, PRICE_INPUT, 5},
        {"lab", "v-1", "2026-02-01T08:00:00Z", 1, PRICE_INPUT, 6},
        {"lab", "v-1", "2026-03-01T00:00:00Z", 1, PRICE_INPUT, -1},
        {"lab", "v-1", "2026-04-01T00:00:00Z", 1, PRICE_INPUT, 7},
        {"hut", "a-1", "2026-01-01T00:00:00Z", 1, PRICE_INPUT, 9},
        {NULL, "v-1", "2026-01-01T00:00:00Z", 1, PRICE_INPUT, 5},
        {NULL, "a-1", "2026-01-01T00:00:00Z", 1, PRICE_INPUT, -1}, /* two have it */
        {"hut", "v-1", "2026-01-01T00:00:00Z", 1, PRICE_INPUT, -1},
        {"lab", "b-1", "2026-01-01T00:00:00Z", 1, PRICE_INPUT, -1},
    };

    load("currency: EUR\n"
         "providers:\n"
         "  lab:\n"
         "    a-1:\n"
         "      aliases: [a-latest, a]\n"
         "      input: 1e-06\n"
         "      cache_write: 1.25e-06\n"
         "      output: 4e-06\n"
         "      tiers: [{above: 200k, input: 2e-06}]\n"
         "    v-1:\n"
         "      versions:\n"
         "        - {valid_from: 2026-01-01, input: 5e-12}\n"
         "        - {valid_from: 2026-02-01T08:00:00Z, valid_until: 2026-03-01, input: 6e-12}\n"
         "        - {valid_from: 2026-04-01, input: 7e-12}\n"
         "  hut: {a-1: {input: 9e-12}}\n",
         NOTHING);
    CHECK_TEXT("whole", checked.found, "");
    REQUIRE(checked.policy);
    CU_ASSERT(text_eq(checked.policy->prices.providers->currency, TEXT("EUR")));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_INT(rows[i].model,
                  pico_of(rows[i].provider, rows[i].model, rows[i].at, rows[i].part, rows[i].input),
                  rows[i].pico);
    /* Part by part the dearest that a provider ever has; of any, for whom the list does not know. */
    CHECK_INT("lab",
              price_fallback(checked.policy->prices.providers, TEXT("lab"))->pico[PRICE_INPUT],
              2000000);
    CHECK_INT("hut",
              price_fallback(checked.policy->prices.providers, TEXT("hut"))->pico[PRICE_INPUT], 9);
    CHECK_INT("hut",
              price_fallback(checked.policy->prices.providers, TEXT("hut"))->pico[PRICE_OUTPUT], 0);
    CHECK_INT("any",
              price_fallback(checked.policy->prices.providers, TEXT("den"))->pico[PRICE_OUTPUT],
              4000000);
    CU_ASSERT_PTR_NULL(
        price_fallback(prices_list(&checked.policy->prices, TEXT("retail")), TEXT("lab")));
}

static void
test_fallback_price(void)
{
    load("fallback_price: {input: 3e-05, output: 0.00012}\n"
         "providers: {lab: {a-1: {input: 1}}}\n",
         NOTHING);
    CHECK_TEXT("given", checked.found, "");
    REQUIRE(checked.policy);
    const struct price *price = price_fallback(checked.policy->prices.providers, TEXT("lab"));

    CHECK_INT("input", price->pico[PRICE_INPUT], 30000000);
    CHECK_INT("cached as input", price->pico[PRICE_CACHE_READ], 30000000);
    CHECK_INT("reasoning as output", price->pico[PRICE_REASONING], 120000000);
}

/* What is stored is one text, which says the same again without the files. */
static void
test_body(void)
{
    load("providers: {lab: {a-1: {input: 1}}}\n", NOTHING);
    REQUIRE(checked.policy);
    struct policy *again = policy_load("stored", checked.policy->body.at, checked.policy->body.size,
                                       &checked.findings);

    REQUIRE(again);
    CHECK_INT("entries", again->prices.providers->entry_count, 1);
    CU_ASSERT(text_eq(again->body, checked.policy->body));
    policy_free(again);
    /* A policy without lists is stored as it is, also one that begins like a document. */
    static const char plain[] = "--- # ours\nfallback_plan: free\nplans: {free: {quotas: {calls: "
                                "{meter: requests, limit: 1}}}}\n";

    checked_policy(plain);
    REQUIRE(checked.policy);
    CU_ASSERT(text_eq(checked.policy->body, TEXT(plain)));
}

static void
test_example(void)
{
    static const char body[] =
        "fallback_plan: free\nplans: {free: {quotas: {calls: {meter: requests, limit: 1}}}}\n"
        "prices: {providers: prices.example.yaml}\n";

    checked_policy_at("config/policy.yaml", body);
    CHECK_TEXT("example", checked.found, "");
    REQUIRE(checked.policy);
    CHECK_INT("models", checked.policy->prices.providers->entry_count, 3);
    CHECK_INT("price", pico_of("in-house", "translate-2", "2026-04-01T00:00:00Z", PRICE_REQUEST, 0),
              1500000000);
}

/* ---- what is refused ----------------------------------------------------------------------------- */

#define MODEL(text) "providers:\n  lab:\n    a-1: " text "\n"
#define VERSIONS(text) \
    "providers:\n"     \
    "  lab:\n"         \
    "    a-1:\n"       \
    "      versions:\n" text

static void
test_refused(void)
{
    static const struct {
        const char *list;
        const char *found;
    } rows[] = {
        {"currency: usd\nproviders: {}\n",
         "5:11: currency: must be a currency code of three capital letters, like USD"},
        {"currency: USD\n", "1:1: providers is missing: the models and their prices"},
        {"providers: []\n", "5:12: providers: must be written like "
                            "{openai: {gpt-4o: {input: 2.5e-06, output: 1e-05}}}"},
        {"provider: {}\nproviders: {}\n",
         "5:1: price list: unknown key provider; did you mean `providers`?"},
        {MODEL("{input: -1e-06}"), "7:18: lab/a-1: input: a price must not be negative"},
        {MODEL("{input: 1e-06, output: 1e-13}"), "7:33: lab/a-1: output: 1e-13 is no price for one "
                                                 "token: a decimal number up to 1e6 with at "
                                                 "most 12 decimals, like 2.5e-06"},
        {MODEL("{input: dear}"),
         "7:18: lab/a-1: input: dear is no price for one token: a decimal number up to 1e6 with at "
         "most 12 decimals, like 2.5e-06"},
        {MODEL("{}"), "7:10: lab/a-1: no price: give input and output for one token each, or "
                      "request"},
        {MODEL("{inputs: 1}"), "7:11: lab/a-1: unknown key inputs; did you mean `input`?"},
        {MODEL("{input: 1, aliases: [b, a-1]}"),
         "7:34: lab/a-1: a-1 is the name or an alias of a model of this provider already"},
        {"providers: {lab: {a: {input: 1, aliases: [b]}, b: {input: 1}}}\n",
         "5:48: lab/b: b is the name or an alias of a model of this provider already"},
        {MODEL("{input: 1, tiers: [{above: 2k, input: 2}, {above: 2k, input: 3}]}"),
         "7:60: lab/a-1: tiers must rise"},
        {MODEL("{input: 1, tiers: [{input: 2}]}"),
         "7:29: lab/a-1: tiers: above is missing: more than how many input tokens"},
        {MODEL("{input: 1, valid_from: 2026-13-01}"),
         "7:33: lab/a-1: valid_from: 2026-13-01 is no date like 2026-03-01 (midnight in UTC) and "
         "no "
         "instant like 2026-03-01T08:00:00Z"},
        {MODEL("{input: 1, valid_from: 2026-03-01, valid_until: 2026-03-01}"),
         "7:33: lab/a-1: valid_until is not after valid_from"},
        {VERSIONS("        - {input: 1}\n        - {valid_from: 2026-03-01, input: 1}\n"
                  "        - {valid_from: 2026-03-01, input: 2}\n"),
         "11:24: lab/a-1: this version overlaps the one before it: versions must rise"},
        {VERSIONS("        - {valid_from: 2026-01-01, valid_until: 2026-04-01, input: 1}\n"
                  "        - {valid_from: 2026-03-01, input: 2}\n"),
         "10:24: lab/a-1: this version overlaps the one before it: versions must rise"},
        {VERSIONS("        - {input: 1}\n        - {input: 2}\n"),
         "10:11: lab/a-1: this version overlaps the one before it: versions must rise"},
        {VERSIONS("        - {output: 2.5e-06}\n"
                  "        - {valid_from: 2026-03-01, output: 0.025}\n"),
         "10:24: lab/a-1: output is ten thousand times its predecessor, or a ten-thousandth: is it "
         "for one token? `checked: true` or --force takes it"},
        {VERSIONS("        - {output: 0.025}\n"
                  "        - {valid_from: 2026-03-01, output: 2.5e-06}\n"),
         "10:24: lab/a-1: output is ten thousand times its predecessor, or a ten-thousandth: is it "
         "for one token? `checked: true` or --force takes it"},
        {VERSIONS("        - {output: 2.5e-06}\n"
                  "        - {valid_from: 2026-03-01, output: 0.0249}\n"),
         ""},
        {VERSIONS("        - {output: 2.5e-06}\n"
                  "        - {valid_from: 2026-03-01, output: 0.025, checked: true}\n"),
         ""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        load(rows[i].list, NOTHING);
        CHECK_TEXT(rows[i].list, checked.found, rows[i].found);
        CHECK_INT(rows[i].list, checked.policy == NULL, rows[i].found[0] != '\0');
    }
}

static void
test_force(void)
{
    checked.findings.force = true;
    load(VERSIONS("        - {output: 2.5e-06}\n"
                  "        - {valid_from: 2026-03-01, output: 2.5}\n"),
         NOTHING);
    checked.findings.force = false;
    CHECK_TEXT("taken", checked.found,
               "10:24: warning: lab/a-1: output is ten thousand times its predecessor, or a "
               "ten-thousandth: is it for one token? `checked: true` or --force takes it");
    CU_ASSERT_PTR_NOT_NULL(checked.policy);
}

/* Against what is in force. */
static void
test_compare(void)
{
    load("providers: {lab: {a-1: {input: 1e-06}, b-1: {input: 1e-06}}}\n", NOTHING);
    struct policy *before = checked.policy;

    REQUIRE(before);
    checked.policy = NULL;
    load("providers: {lab: {a-1: {input: 0.01}, b-1: {input: 2e-06}, c-1: {input: 1000}}}\n",
         NOTHING);
    REQUIRE(checked.policy);
    policy_prices_compare(&checked.findings, before, checked.policy);
    findings_text(&checked.findings, checked.found);
    CHECK_TEXT("jump", checked.found,
               "1:1: lab/a-1: input is ten thousand times its predecessor, or a ten-thousandth: is "
               "it for one token? `checked: true` or --force takes it");
    policy_free(before);
}

/* Tenants that name no currency would have amounts of two in one total. */
static void
test_compare_currency(void)
{
    static const char dollars[] = "plans: {free: {quotas: {}}}\nfallback_plan: free\n";
    static const char euros[] = "plans: {free: {quotas: {}}}\nfallback_plan: free\n"
                                "defaults: {currency: EUR}\n";

    checked_policy(dollars);
    struct policy *before = checked.policy;

    REQUIRE(before);
    checked.policy = NULL;
    for (int force = 0; force < 2; force++) {
        checked_policy(euros);
        REQUIRE(checked.policy);
        checked.findings.force = force == 1;
        policy_prices_compare(&checked.findings, before, checked.policy);
        CHECK_INT("refused", checked.findings.error_count, force == 0);
        findings_text(&checked.findings, checked.found);
        CU_ASSERT_PTR_NOT_NULL(strstr(checked.found, "defaults: currency: USD was in force"));
    }
    checked.findings.force = false;
    policy_free(before);
}

/* ---- names, rates and charges -------------------------------------------------------------------- */

static void
test_policy(void)
{
    static const struct {
        const char *body;
        const char *found;
    } rows[] = {
        {"rates: {EUR: 1.08, GBP: [{rate: 1.2}, {valid_from: 2026-03-01, rate: 1.3}]}\n", ""},
        {"rates: {EUR: 0}\n", "3:14: rates: EUR: 0 is no rate: US dollars for one unit, from "
                              "0.000001 to 1000000 with at most 9 decimals"},
        {"rates: {USD: 1}\n", "3:9: rates: a currency must not be USD: the others are given in it"},
        {"rates: {Euro: 1}\n",
         "3:9: rates: a currency must be a currency code of three capital letters, like USD"},
        {"rates: {EUR: [{valid_from: 2026-03-01, rate: 1}, {rate: 1}]}\n",
         "3:50: rates: EUR: rates must rise in valid_from"},
        {"rates: {EUR: [{valid_from: soon, rate: 1}]}\n",
         "3:28: rates: EUR: soon is no date like 2026-01-01"},
        {"rates: {EUR: [{valid_from: 2026-03-01}]}\n", "3:15: rates: EUR: rate is missing"},
        {"prices: {cost: a.yaml}\n", "3:10: prices: the name of a list must not be cost: that is "
                                     "what is charged without a list"},
        {"prices: {Retail: a.yaml}\n", "3:10: prices: the name of a list must be small letters, "
                                       "digits, '_' and '-', at most 63, a "
                                       "letter first"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char body[1024];

        (void)snprintf(body, sizeof body,
                       "fallback_plan: free\nplans: {free: {quotas: {calls: {meter: requests, "
                       "limit: 1}}}}\n%s",
                       rows[i].body);
        checked_policy(body);
        CHECK_TEXT(rows[i].body, checked.found, rows[i].found);
    }
    static const char gone[] =
        "fallback_plan: free\nplans: {free: {quotas: {calls: {meter: requests, limit: 1}}}}\n"
        "prices: {providers: no-such-file.yaml}\n";

    checked_policy_at("tests/policy.yaml", gone);
    CHECK_TEXT("no file", checked.found,
               "1:1: prices: providers: cannot read no-such-file.yaml: No such file or directory");
}

static void
test_charge(void)
{
    static const struct {
        const char *words;
        int64_t markup; /* -1: refused */
        bool list;
    } rows[] = {
        {"cost", 0, false},
        {"20%", 200000, false},
        {"-2.5%", -25000, false},
        {"0.0001%", 1, false},
        {"retail", 0, true},
        {"retail 20%", 200000, true},
        {"10000%", MARKUP_LIMIT, false},
        {"wholesale", -1, false},
        {"20", -1, false},
        {"20 %", -1, false},
        {"%", -1, false},
        {"-100%", -1, false},
        {"10001%", -1, false},
        {"0.00001%", -1, false},
        {"retail 20", -1, false},
        {"retail  20%", -1, false},
        {"20% retail", -1, false},
        {"", -1, false},
    };

    load("providers: {lab: {a-1: {input: 1}}}\n", NOTHING);
    REQUIRE(checked.policy);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct charge_rule rule;
        const char *must = charge_read(text_of(rows[i].words), &checked.policy->prices, &rule);

        CHECK_INT(rows[i].words, must == NULL, rows[i].markup != -1);
        if (rows[i].markup == -1)
            continue;
        CHECK_INT(rows[i].words, rule.markup, rows[i].markup);
        CHECK_INT(rows[i].words, rule.list != NULL, rows[i].list);
    }
}

/* What follows is the policy's amounts in a tenant's currency: limits, breakers, anomalies. */
static void
test_convert(void)
{
    static const struct {
        const char *name;
        const char *from;
        const char *to;
        const char *at;
        int64_t nano;
        int64_t converted;
    } rows[] = {
        {"the same", "USD", "USD", "2026-03-01T00:00:00Z", 1000000000, 1000000000},
        {"the same, without a rate", "CHF", "CHF", "2026-03-01T00:00:00Z", 7, 7},
        {"to another", "USD", "JPY", "2026-02-28T23:59:59.999Z", 1000000000, 100000000000},
        {"at a later rate", "USD", "JPY", "2026-03-01T00:00:00Z", 1000000000, 50000000000},
        {"and back", "JPY", "USD", "2026-03-01T00:00:00Z", 50000000000, 1000000000},
        {"between two others", "EUR", "JPY", "2026-03-01T00:00:00Z", 1000000000, 62500000000},
        {"with decimals", "USD", "EUR", "2026-03-01T00:00:00Z", 3125000000, 2500000000},
        {"half to even, 0.5", "JPY", "USD", "2026-03-01T00:00:00Z", 25, 0},
        {"half to even, 1.5", "JPY", "USD", "2026-03-01T00:00:00Z", 75, 2},
        {"no rate yet: as it is", "USD", "KRW", "2026-02-28T23:59:59.999Z", 5, 5},
        {"no rate: as it is", "USD", "CHF", "2026-03-01T00:00:00Z", 5, 5},
    };
    static const char body[] = "fallback_plan: free\nplans: {free: {quotas: {}}}\n"
                               "rates:\n"
                               "  EUR: 1.25\n"
                               "  JPY: [{rate: 0.01}, {valid_from: 2026-03-01, rate: 0.02}]\n"
                               "  KRW: [{valid_from: 2026-03-01, rate: 0.001}]\n";

    checked_policy(body);
    REQUIRE(checked.policy);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t at_ms = 0;

        CU_ASSERT(clock_parse(text_of(rows[i].at), &at_ms));
        const tally converted = prices_convert(&checked.policy->prices, rows[i].nano,
                                               text_of(rows[i].from), text_of(rows[i].to), at_ms);

        CHECK_INT(rows[i].name, (int64_t)converted, rows[i].converted);
    }
}

static CU_TestInfo tests[] = {
    {"versions, tiers, aliases and what follows from what is given", test_whole},
    {"a fallback price of its own", test_fallback_price},
    {"what is stored is one text", test_body},
    {"the example is a list", test_example},
    {"what cannot be meant is named where it stands", test_refused},
    {"unlikely prices are taken by force", test_force},
    {"prices beside those in force", test_compare},
    {"the currency of everybody beside the one in force", test_compare_currency},
    {"list names and rates", test_policy},
    {"how a charge follows from the cost", test_charge},
    {"amounts in another currency", test_convert},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_price_load = {
    .pName = "price_load", .pCleanupFunc = checked_forget, .pTests = tests};
