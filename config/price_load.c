#include "config/price_load.h"

#include "config/value.h"
#include "core/clock.h"
#include "core/identity.h"

#include <stdio.h>

enum { TREE_SIZE = 64 << 20, WHAT_ROOM = 320, VERSION_LIMIT = 1000 };
#define ABOVE_LIMIT (INT64_C(1) << 53)
#define INDEX_LIMIT ((size_t)4 * PRICE_ENTRY_LIMIT) /* names with and without their provider */

static const char *const part_members[] = {"input",       "cache_read", "cache_write", "output",
                                           "reasoning",   "request",    "tiers",       "valid_from",
                                           "valid_until", "checked",    NULL};

struct reading {
    struct findings *findings;
    struct arena *arena;
    struct price_list *list;
    char what[WHAT_ROOM]; /* "openai/gpt-4o" */
};

static void *
take(struct reading *reading, struct mark at, size_t size)
{
    void *memory = arena_take(reading->arena, size);

    if (memory == NULL)
        (void)finding_error(reading->findings, at, "the price list is too large");
    return memory;
}

/* ---- parts --------------------------------------------------------------------------------------- */

/* Which parts are given, as bits. */
static unsigned
read_parts(struct reading *reading, const struct yaml *node, struct price *price)
{
    unsigned given = 0;

    for (int part = 0; part < PRICE_PART_COUNT; part++) {
        const struct yaml *member = yaml_member(node, text_of(price_part_names[part]));
        struct text text;

        if (member == NULL)
            continue;
        given |= 1U << part;
        if (!node_text(reading->findings, member, reading->what, &text) ||
            price_parse(text, &price->pico[part]))
            continue;
        if (text.at[0] == '-')
            (void)finding_error(reading->findings, member->at,
                                "%s: %s: a price must not be negative", reading->what,
                                price_part_names[part]);
        else
            (void)finding_error(reading->findings, member->at,
                                "%s: %s: %s is no price for one token: a decimal number up to 1e6 "
                                "with at most 12 decimals, like 2.5e-06",
                                reading->what, price_part_names[part], text.at);
    }
    return given;
}

/* What is not given follows from what is. */
static void
complete(struct price *price, unsigned given)
{
    static const enum price_part from[PRICE_PART_COUNT] = {[PRICE_CACHE_READ] = PRICE_INPUT,
                                                           [PRICE_CACHE_WRITE] = PRICE_INPUT,
                                                           [PRICE_REASONING] = PRICE_OUTPUT};

    for (int part = 0; part < PRICE_PART_COUNT; part++)
        if ((given & 1U << part) == 0)
            price->pico[part] =
                part == PRICE_CACHE_READ || part == PRICE_CACHE_WRITE || part == PRICE_REASONING
                    ? price->pico[from[part]]
                    : 0;
}

/* A tier says what is different in it. */
static bool
read_tier(struct reading *reading, const struct yaml *node, struct price_version *version,
          const struct price *base, unsigned base_given)
{
    static const char *const names[] = {"above",  "input",     "cache_read", "cache_write",
                                        "output", "reasoning", "request",    NULL};
    struct price_tier *tier = &version->tiers[version->tier_count];
    const struct yaml *above = yaml_member(node, TEXT("above"));
    struct text text;

    if (!node_is(reading->findings, node, YAML_MAP, reading->what, "{above: 200k, input: 5e-06}") ||
        !node_members(reading->findings, node, reading->what, names))
        return false;
    if (above == NULL)
        return finding_error(reading->findings, node->at,
                             "%s: tiers: above is missing: more than how many input tokens",
                             reading->what);
    if (!node_text(reading->findings, above, reading->what, &text))
        return false;
    if (!value_count(text, &tier->above) || tier->above < 1 || tier->above > ABOVE_LIMIT)
        return finding_error(reading->findings, above->at,
                             "%s: tiers: above: %s is no number of tokens, like 200k",
                             reading->what, text.at);
    if (version->tier_count > 1 && tier->above <= tier[-1].above)
        return finding_error(reading->findings, above->at, "%s: tiers must rise", reading->what);
    tier->price = *base;
    complete(&tier->price, base_given | read_parts(reading, node, &tier->price));
    version->tier_count++;
    return true;
}

static bool
read_tiers(struct reading *reading, const struct yaml *node, struct price_version *version)
{
    const struct yaml *tiers = yaml_member(node, TEXT("tiers"));
    const size_t count = tiers == NULL ? 0 : tiers->count;
    struct price base = {.pico = {0}};
    const unsigned given = read_parts(reading, node, &base);

    if (given == 0)
        return finding_error(reading->findings, node->at,
                             "%s: no price: give input and output for one token each, or request",
                             reading->what);
    if (count >= PRICE_TIER_LIMIT)
        return finding_error(reading->findings, tiers->at, "%s: more than %d tiers", reading->what,
                             PRICE_TIER_LIMIT - 1);
    version->tiers = take(reading, node->at, (count + 1) * sizeof *version->tiers);
    if (version->tiers == NULL)
        return false;
    version->tiers[0].price = base;
    complete(&version->tiers[0].price, given);
    version->tier_count = 1;
    if (tiers == NULL)
        return true;
    if (!node_is(reading->findings, tiers, YAML_LIST, reading->what,
                 "[{above: 200k, input: 5e-06, output: 2e-05}]"))
        return false;
    for (const struct yaml *one = tiers->first; one != NULL; one = one->next)
        if (!read_tier(reading, one, version, &base, given))
            return false;
    return true;
}

/* ---- versions ------------------------------------------------------------------------------------ */

bool
price_date(struct text text, int64_t *at_ms)
{
    char whole[CLOCK_TEXT_SIZE];

    if (text.size != sizeof "2026-01-01" - 1)
        return clock_parse(text, at_ms);
    (void)snprintf(whole, sizeof whole, "%.10sT00:00:00Z", text.at);
    return clock_parse(text_of(whole), at_ms);
}

static bool
read_date(struct reading *reading, const struct yaml *node, const char *name, int64_t *at_ms)
{
    const struct yaml *member = yaml_member(node, text_of(name));
    struct text text;

    if (member == NULL)
        return true;
    return node_text(reading->findings, member, reading->what, &text) &&
           (price_date(text, at_ms) ||
            finding_error(reading->findings, member->at,
                          "%s: %s: %s is no date like 2026-03-01 (midnight in UTC) and no instant "
                          "like 2026-03-01T08:00:00Z",
                          reading->what, name, text.at));
}

/* Names the part that makes a jump, or NULL. */
static const char *
jump(const struct price *before, const struct price *after)
{
    for (int part = 0; part < PRICE_PART_COUNT; part++) {
        const tally old = before->pico[part];
        const tally new = after->pico[part];

        if (old > 0 && new > 0 && (new >= old *PRICE_JUMP || old >= new *PRICE_JUMP))
            return price_part_names[part];
    }
    return NULL;
}

static void
report_jump(struct findings *findings, struct mark at, const char *what,
            const struct price_version *before, const struct price_version *after)
{
    static const char text[] = "%s: %s is ten thousand times its predecessor, or a ten-thousandth: "
                               "is it for one token? `checked: true` or --force takes it";
    const char *part = jump(&before->tiers[0].price, &after->tiers[0].price);

    if (part == NULL || after->checked)
        return;
    if (findings->force)
        finding_warning(findings, at, text, what, part);
    else
        (void)finding_error(findings, at, text, what, part);
}

static bool
read_checked(struct reading *reading, const struct yaml *node, bool *checked)
{
    const struct yaml *member = yaml_member(node, TEXT("checked"));
    int64_t value = 0;

    if (member != NULL &&
        !node_choice(reading->findings, member, reading->what, "false|true", &value))
        return false;
    *checked = value != 0;
    return true;
}

static bool
read_version(struct reading *reading, const struct yaml *node, struct price_entry *entry)
{
    struct price_version *version = &entry->versions[entry->version_count];
    const struct price_version *before = entry->version_count == 0 ? NULL : version - 1;
    const struct yaml *from = yaml_member(node, TEXT("valid_from"));
    const struct mark at = from == NULL ? node->at : from->at;

    version->until_ms = INT64_MAX;
    if (!read_date(reading, node, "valid_from", &version->from_ms) ||
        !read_date(reading, node, "valid_until", &version->until_ms) ||
        !read_checked(reading, node, &version->checked) || !read_tiers(reading, node, version))
        return false;
    if (version->until_ms <= version->from_ms)
        return finding_error(reading->findings, at, "%s: valid_until is not after valid_from",
                             reading->what);
    if (before != NULL && (version->from_ms <= before->from_ms ||
                           (before->until_ms != INT64_MAX && version->from_ms < before->until_ms)))
        return finding_error(reading->findings, at,
                             "%s: this version overlaps the one before it: versions must rise",
                             reading->what);
    if (before != NULL)
        report_jump(reading->findings, at, reading->what, before, version);
    entry->version_count++;
    return true;
}

static bool
read_versions(struct reading *reading, const struct yaml *versions, struct price_entry *entry)
{
    if (!node_is(reading->findings, versions, YAML_LIST, reading->what,
                 "[{valid_from: 2026-03-01, input: 1e-06, output: 8e-06}]"))
        return false;
    if (versions->count == 0 || versions->count > VERSION_LIMIT)
        return finding_error(reading->findings, versions->at, "%s: 1 to %d versions", reading->what,
                             (int)VERSION_LIMIT);
    entry->versions = take(reading, versions->at, versions->count * sizeof *entry->versions);
    for (const struct yaml *one = versions->first; one != NULL && entry->versions != NULL;
         one = one->next)
        if (!node_is(reading->findings, one, YAML_MAP, reading->what,
                     "{valid_from: 2026-03-01, input: 1e-06}") ||
            !node_members(reading->findings, one, reading->what, part_members) ||
            !read_version(reading, one, entry))
            return false;
    return entry->versions != NULL;
}

/* ---- models -------------------------------------------------------------------------------------- */

/* Behind every entry: several providers have a model of this name. */
enum { AMBIGUOUS = PRICE_ENTRY_LIMIT };

static bool
index_name(struct reading *reading, struct mark at, struct text provider, struct text model)
{
    struct price_list *list = reading->list;
    const struct text names[] = {provider, model};
    const struct text alone[] = {{NULL, 0}, model};
    const struct key128 key = identity_texts((struct key128){0}, names, 2);
    const struct key128 any = identity_texts((struct key128){0}, alone, 2);
    const uint32_t place = (uint32_t)list->entry_count;
    const uint32_t other = table_find(&list->index, any);

    if (model.size == 0 || model.size > EVENT_ID_LIMIT)
        return finding_error(reading->findings, at, "%s: a model's name has 1 to %d bytes",
                             reading->what, EVENT_ID_LIMIT);
    if (table_find(&list->index, key) != TABLE_NONE)
        return finding_error(reading->findings, at,
                             "%s: %s is the name or an alias of a model of this provider already",
                             reading->what, model.at);
    return (table_put(&list->index, key, place) &&
            table_put(&list->index, any,
                      other == TABLE_NONE || other == place ? place : AMBIGUOUS)) ||
           finding_error(reading->findings, at, "the price list is too large");
}

static bool
read_aliases(struct reading *reading, const struct yaml *node, struct text provider)
{
    const struct yaml *aliases = yaml_member(node, TEXT("aliases"));
    struct text text;

    if (aliases == NULL || aliases->kind == YAML_EMPTY)
        return true;
    if (!node_is(reading->findings, aliases, YAML_LIST, reading->what, "[gpt-4o-2024-11-20]"))
        return false;
    for (const struct yaml *one = aliases->first; one != NULL; one = one->next)
        if (!node_text(reading->findings, one, reading->what, &text) ||
            !index_name(reading, one->at, provider, text))
            return false;
    return true;
}

/* One version stands in the model itself; several in a list. */
static bool
read_model(struct reading *reading, const struct yaml *node, struct price_entry *entry)
{
    static const char *const with_versions[] = {"aliases", "versions", NULL};
    static const char *const alone[] = {"aliases",    "input",       "cache_read", "cache_write",
                                        "output",     "reasoning",   "request",    "tiers",
                                        "valid_from", "valid_until", NULL};
    const struct yaml *versions = yaml_member(node, TEXT("versions"));

    if (!node_is(reading->findings, node, YAML_MAP, reading->what,
                 "{input: 2.5e-06, output: 1e-05}") ||
        !node_members(reading->findings, node, reading->what,
                      versions == NULL ? alone : with_versions))
        return false;
    if (versions != NULL)
        return read_versions(reading, versions, entry);
    entry->versions = take(reading, node->at, sizeof *entry->versions);
    return entry->versions != NULL && read_version(reading, node, entry);
}

static void
read_provider(struct reading *reading, const struct yaml *node)
{
    const struct text provider = arena_text(reading->arena, node->key);

    if (node->kind == YAML_EMPTY || !node_is(reading->findings, node, YAML_MAP, node->key.at,
                                             "{gpt-4o: {input: 2.5e-06, output: 1e-05}}"))
        return;
    for (const struct yaml *one = node->first; one != NULL; one = one->next) {
        struct price_entry *entry = &reading->list->entries[reading->list->entry_count];

        (void)snprintf(reading->what, sizeof reading->what, "%.128s/%.128s", node->key.at,
                       one->key.at);
        entry->provider = provider;
        entry->model = arena_text(reading->arena, one->key);
        if (provider.at == NULL || entry->model.at == NULL) {
            (void)finding_error(reading->findings, one->key_at, "the price list is too large");
            return;
        }
        if (index_name(reading, one->key_at, provider, one->key) &&
            read_aliases(reading, one, provider) && read_model(reading, one, entry))
            reading->list->entry_count++;
    }
}

static void
read_providers(struct reading *reading, const struct yaml *node)
{
    size_t count = 0;

    if (node == NULL || !node_is(reading->findings, node, YAML_MAP, "providers",
                                 "{openai: {gpt-4o: {input: 2.5e-06, output: 1e-05}}}")) {
        if (node == NULL)
            (void)finding_error(reading->findings, (struct mark){1, 1},
                                "providers is missing: the models and their prices");
        return;
    }
    for (const struct yaml *one = node->first; one != NULL; one = one->next)
        count += one->count;
    reading->list->entries = take(reading, node->at, (count + 1) * sizeof(struct price_entry));
    reading->list->fallbacks =
        take(reading, node->at, (node->count + 1) * sizeof(struct price_fallback));
    if (reading->list->entries == NULL || reading->list->fallbacks == NULL)
        return;
    for (const struct yaml *one = node->first; one != NULL; one = one->next)
        read_provider(reading, one);
}

/* ---- the fallback -------------------------------------------------------------------------------- */

static void
raise_to(struct price *price, const struct price *other)
{
    for (int part = 0; part < PRICE_PART_COUNT; part++)
        if (other->pico[part] > price->pico[part])
            price->pico[part] = other->pico[part];
}

static struct price
dearest_of(const struct price_entry *entry)
{
    struct price price = {.pico = {0}};

    for (size_t v = 0; v < entry->version_count; v++)
        for (size_t t = 0; t < entry->versions[v].tier_count; t++)
            raise_to(&price, &entry->versions[v].tiers[t].price);
    return price;
}

/* Part by part the dearest that a provider has, or had; the last one is the dearest of all. */
static void
dearest_of_providers(struct price_list *list)
{
    struct price all = {.pico = {0}};

    for (size_t i = 0; i < list->entry_count; i++) {
        const struct price_entry *entry = &list->entries[i];
        const struct price price = dearest_of(entry);
        struct price_fallback *last = &list->fallbacks[list->fallback_count];

        raise_to(&all, &price);
        /* The entries of a provider stand together. */
        if (list->fallback_count > 0 && text_eq(last[-1].provider, entry->provider))
            raise_to(&last[-1].price, &price);
        else
            list->fallbacks[list->fallback_count++] =
                (struct price_fallback){.provider = entry->provider, .price = price};
    }
    if (list->entry_count > 0)
        list->fallbacks[list->fallback_count++].price = all;
}

static void
read_fallback(struct reading *reading, const struct yaml *node)
{
    static const char *const names[] = {"input",     "cache_read", "cache_write", "output",
                                        "reasoning", "request",    NULL};
    struct price_list *list = reading->list;

    if (list->fallbacks == NULL)
        return;
    if (node == NULL) {
        dearest_of_providers(list);
        return;
    }
    (void)snprintf(reading->what, sizeof reading->what, "fallback_price");
    if (!node_is(reading->findings, node, YAML_MAP, "fallback_price",
                 "{input: 0.00003, output: 0.00012}") ||
        !node_members(reading->findings, node, "fallback_price", names))
        return;
    list->fallback_count = 1;
    complete(&list->fallbacks[0].price, read_parts(reading, node, &list->fallbacks[0].price));
}

/* ---- the list ------------------------------------------------------------------------------------ */

static void
read_currency(struct reading *reading, const struct yaml *node)
{
    struct text name = TEXT("USD");

    if (node != NULL && node_text(reading->findings, node, "currency", &name)) {
        const char *must = value_check_currency(name);

        if (must != NULL)
            (void)finding_error(reading->findings, node->at, "currency: %s", must);
    }
    reading->list->currency = arena_text(reading->arena, name);
}

static void
read_list(struct reading *reading, const struct yaml *root)
{
    static const char *const names[] = {"currency", "fallback_price", "providers", NULL};

    if (!node_is(reading->findings, root, YAML_MAP, "price list",
                 "currency, providers: {openai: {...}}") ||
        !node_members(reading->findings, root, "price list", names))
        return;
    read_currency(reading, yaml_member(root, TEXT("currency")));
    read_providers(reading, yaml_member(root, TEXT("providers")));
    read_fallback(reading, yaml_member(root, TEXT("fallback_price")));
}

void
price_list_load(struct findings *findings, struct arena *arena, struct text body,
                struct price_list *list)
{
    struct reading reading = {.findings = findings, .arena = arena, .list = list};
    struct arena *tree = arena_new(TREE_SIZE);
    const struct yaml *root = NULL;

    if (tree == NULL || !table_init(&list->index, 256, INDEX_LIMIT))
        (void)finding_error(findings, (struct mark){1, 1}, "out of memory");
    else
        root = yaml_parse(body, tree, findings);
    if (root != NULL)
        read_list(&reading, root);
    arena_free(tree);
}

void
price_list_compare(struct findings *findings, const struct price_list *before,
                   const struct price_list *after)
{
    for (size_t i = 0; i < after->entry_count; i++) {
        const struct price_entry *entry = &after->entries[i];
        const struct price_version *now = &entry->versions[entry->version_count - 1];
        const struct price_version *was =
            price_find(before, entry->provider, entry->model, now->from_ms);
        char what[WHAT_ROOM];

        (void)snprintf(what, sizeof what, "%.128s/%.128s", entry->provider.at, entry->model.at);
        if (was != NULL)
            report_jump(findings, (struct mark){1, 1}, what, was, now);
    }
}
