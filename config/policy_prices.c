#include "config/policy_prices.h"

#include "config/file.h"
#include "config/price_load.h"
#include "config/value.h"

#include <stdio.h>

enum { BODIES_SIZE = 40 << 20, WHAT_ROOM = 192, RATE_VERSIONS = 1000 };

static const char document_mark[] = "--- # ";

/* ---- documents ----------------------------------------------------------------------------------- */

/* Takes the next line off; without blanks around it in *trimmed. False at the end. */
static bool
next_line(struct text *rest, struct text *trimmed)
{
    if (rest->size == 0)
        return false;
    const char *end = memchr(rest->at, '\n', rest->size);
    size_t size = end == NULL ? rest->size : (size_t)(end - rest->at);

    *trimmed = (struct text){rest->at, size};
    size += end != NULL;
    *rest = (struct text){rest->at + size, rest->size - size};
    while (trimmed->size > 0 && (trimmed->at[0] == ' ' || trimmed->at[0] == '\t'))
        *trimmed = (struct text){trimmed->at + 1, trimmed->size - 1};
    while (trimmed->size > 0 && strchr(" \t\r", trimmed->at[trimmed->size - 1]) != NULL)
        trimmed->size--;
    return true;
}

/* Name of the document that a line begins; absent: it begins none. */
static struct text
document_name(struct text line)
{
    const size_t mark = sizeof document_mark - 1;

    if (line.size <= mark || memcmp(line.at, document_mark, mark) != 0)
        return (struct text){NULL, 0};
    return (struct text){line.at + mark, line.size - mark};
}

struct text
policy_own_text(struct text body)
{
    struct text rest = body;
    struct text line;
    bool begun = false; /* before that, such a line is the head of the policy itself */

    for (const char *at = body.at; next_line(&rest, &line); at = rest.at) {
        if (begun && document_name(line).size > 0)
            return (struct text){body.at, (size_t)(at - body.at)};
        begun |= line.size > 0 && line.at[0] != '#' && line.at[0] != '-' && line.at[0] != '%';
    }
    return body;
}

/* Its lines stand where they stand in the file: what is before them is empty lines. Absent when there
 * is no such document. */
static struct text
document_of(struct text body, struct text name, struct arena *arena)
{
    const size_t own = policy_own_text(body).size;
    struct text rest = {body.at + own, body.size - own};
    struct text line;
    const char *from = NULL;
    const char *to = body.at + body.size;
    size_t before = 0;

    for (const char *at = rest.at; next_line(&rest, &line); at = rest.at) {
        const struct text begins = document_name(line);

        if (from != NULL && begins.size > 0) {
            to = at;
            break;
        }
        if (from == NULL && text_eq(begins, name))
            from = rest.at;
    }
    if (from == NULL)
        return (struct text){NULL, 0};
    for (const char *at = body.at; at < from; at++)
        before += *at == '\n';
    char *out = arena_take(arena, before + (size_t)(to - from) + 1);

    if (out == NULL)
        return (struct text){NULL, 0};
    memset(out, '\n', before);
    memcpy(out + before, from, (size_t)(to - from));
    return (struct text){out, before + (size_t)(to - from)};
}

/* ---- names and rates ----------------------------------------------------------------------------- */

static void
read_list_name(struct findings *findings, struct policy *policy, const struct yaml *node)
{
    struct prices *prices = &policy->prices;
    struct price_list *list = &prices->lists[prices->list_count];
    const char *must = value_check_label(node->key);
    char what[WHAT_ROOM];

    (void)snprintf(what, sizeof what, "prices: %.60s", node->key.at);
    if (must == NULL && text_eq(node->key, TEXT("cost")))
        must = "must not be cost: that is what is charged without a list";
    if (must != NULL) {
        (void)finding_error(findings, node->key_at, "prices: the name of a list %s", must);
        return;
    }
    if (!node_text(findings, node, what, &list->file))
        return;
    list->name = arena_text(policy->arena, node->key);
    list->file = arena_text(policy->arena, list->file);
    if (list->name.at == NULL || list->file.at == NULL) {
        (void)finding_error(findings, node->at, "the policy is too large");
        return;
    }
    prices->list_count++;
    if (text_eq(list->name, TEXT("providers")))
        prices->providers = list;
}

static bool
read_rate(struct findings *findings, const struct yaml *node, const char *what, int64_t *nano)
{
    struct text text;

    if (!node_text(findings, node, what, &text))
        return false;
    return (money_parse_exact(text, 9, nano) && *nano >= RATE_LEAST && *nano <= RATE_LIMIT) ||
           finding_error(findings, node->at,
                         "%s: %s is no rate: US dollars for one unit, from 0.000001 to 1000000 "
                         "with at most 9 decimals",
                         what, text.at);
}

static bool
read_rate_version(struct findings *findings, const struct yaml *node, const char *what,
                  struct currency *currency)
{
    static const char *const names[] = {"valid_from", "rate", NULL};
    const struct yaml *from = yaml_member(node, TEXT("valid_from"));
    const struct yaml *value = yaml_member(node, TEXT("rate"));
    struct rate *rate = &currency->rates[currency->rate_count];
    struct text text;

    if (!node_is(findings, node, YAML_MAP, what, "{valid_from: 2026-01-01, rate: 1.08}") ||
        !node_members(findings, node, what, names))
        return false;
    if (value == NULL)
        return finding_error(findings, node->at, "%s: rate is missing", what);
    if (from != NULL &&
        (!node_text(findings, from, what, &text) ||
         (!price_date(text, &rate->from_ms) &&
          !finding_error(findings, from->at, "%s: %s is no date like 2026-01-01", what, text.at))))
        return false;
    if (currency->rate_count > 0 && rate->from_ms <= rate[-1].from_ms)
        return finding_error(findings, node->at, "%s: rates must rise in valid_from", what);
    currency->rate_count += read_rate(findings, value, what, &rate->nano);
    return true;
}

static void
read_currency(struct findings *findings, struct policy *policy, const struct yaml *node)
{
    struct prices *prices = &policy->prices;
    struct currency *currency = &prices->currencies[prices->currency_count];
    const char *must = value_check_currency(node->key);
    char what[WHAT_ROOM];

    (void)snprintf(what, sizeof what, "rates: %.60s", node->key.at);
    if (must == NULL && text_eq(node->key, prices->base))
        must = "must not be USD: the others are given in it";
    if (must != NULL) {
        (void)finding_error(findings, node->key_at, "rates: a currency %s", must);
        return;
    }
    const size_t count = node->kind == YAML_LIST ? node->count : 1;

    currency->code = arena_text(policy->arena, node->key);
    currency->rates = arena_take(policy->arena, (count + 1) * sizeof *currency->rates);
    if (currency->code.at == NULL || currency->rates == NULL || count > RATE_VERSIONS) {
        (void)finding_error(findings, node->at, "rates: more than %d", (int)RATE_VERSIONS);
        return;
    }
    prices->currency_count++;
    if (node->kind != YAML_LIST) {
        currency->rate_count = read_rate(findings, node, what, &currency->rates[0].nano);
        return;
    }
    for (const struct yaml *one = node->first; one != NULL; one = one->next)
        if (!read_rate_version(findings, one, what, currency))
            return;
}

void
policy_prices_read(struct findings *findings, struct policy *policy, const struct yaml *root)
{
    const struct yaml *lists = yaml_member(root, TEXT("prices"));
    const struct yaml *rates = yaml_member(root, TEXT("rates"));

    policy->prices.base = TEXT("USD");
    if (lists != NULL && node_is(findings, lists, YAML_MAP, "prices", "{providers: prices.yaml}")) {
        if (lists->count > PRICE_LIST_LIMIT)
            (void)finding_error(findings, lists->at, "prices: more than %d", PRICE_LIST_LIMIT);
        else
            for (const struct yaml *one = lists->first; one != NULL; one = one->next)
                read_list_name(findings, policy, one);
    }
    if (rates != NULL && node_is(findings, rates, YAML_MAP, "rates", "{EUR: 1.08}")) {
        if (rates->count > CURRENCY_LIMIT)
            (void)finding_error(findings, rates->at, "rates: more than %d", CURRENCY_LIMIT);
        else
            for (const struct yaml *one = rates->first; one != NULL; one = one->next)
                read_currency(findings, policy, one);
    }
}

void
policy_charge_read(struct findings *findings, const struct policy *policy, const struct yaml *node,
                   const char *what, struct charge_rule *rule)
{
    struct text words;
    const char *must;

    if (node == NULL || !node_text(findings, node, what, &words))
        return;
    words = arena_text(policy->arena, words);
    must = words.at == NULL ? "must be shorter" : charge_read(words, &policy->prices, rule);
    if (must != NULL)
        (void)finding_error(findings, node->at, "%s: charge: %s", what, must);
}

/* ---- the lists ----------------------------------------------------------------------------------- */

struct text_buffer {
    char *at;
    size_t size;
    size_t room;
};

static void
append(struct text_buffer *out, struct text text)
{
    const size_t size = text.size < out->room - out->size ? text.size : out->room - out->size;

    if (size > 0)
        memcpy(out->at + out->size, text.at, size);
    out->size += size;
}

static bool
read_file(struct findings *findings, const char *file, struct price_list *list,
          struct arena *bodies, struct text *body)
{
    const char *path = file_beside(file, list->file, bodies);
    struct err why = {.class = ERR_NONE};

    if (path != NULL && file_read(path, YAML_SIZE_LIMIT, bodies, body, &why)) {
        findings_file(findings, path);
        return true;
    }
    return finding_error(findings, (struct mark){1, 1}, "prices: %.*s: cannot read %s: %s",
                         (int)list->name.size, list->name.at, list->file.at,
                         path == NULL ? "out of memory" : why.text);
}

/* Adds a list that was read from a file to what is stored of the policy. */
static void
store_list(struct text_buffer *out, const struct price_list *list, struct text body)
{
    append(out, TEXT("\n"));
    append(out, (struct text){document_mark, sizeof document_mark - 1});
    append(out, list->file);
    append(out, TEXT("\n"));
    append(out, body);
}

void
policy_lists_load(struct findings *findings, struct policy *policy, const char *file,
                  struct text body)
{
    struct arena *bodies = arena_new(BODIES_SIZE);
    struct text_buffer out = {.room = body.size};

    for (size_t i = 0; i < policy->prices.list_count; i++)
        out.room += YAML_SIZE_LIMIT + policy->prices.lists[i].file.size + sizeof document_mark + 2;
    out.at = bodies == NULL ? NULL : arena_take(bodies, out.room + 1);
    if (out.at == NULL) {
        (void)finding_error(findings, (struct mark){1, 1}, "out of memory");
        arena_free(bodies);
        return;
    }
    append(&out, body);
    for (size_t i = 0; i < policy->prices.list_count; i++) {
        struct price_list *list = &policy->prices.lists[i];
        const size_t from = findings->count;
        struct text text = document_of(body, list->file, bodies);

        if (text.at == NULL) {
            if (!read_file(findings, file, list, bodies, &text))
                continue;
            store_list(&out, list, text);
        }
        price_list_load(findings, policy->arena, text, list);
        findings_sort(findings, from);
        findings_file(findings, file);
    }
    policy->body = arena_text(policy->arena, (struct text){out.at, out.size});
    if (policy->body.at == NULL)
        (void)finding_error(findings, (struct mark){1, 1}, "the policy is too large");
    arena_free(bodies);
}

/* What such tenants have used is summed in the other currency. */
static void
compare_currency(struct findings *findings, const struct policy *before, const struct policy *after)
{
    static const char text[] =
        "defaults: currency: %s was in force: what tenants without a currency "
        "of their own have used is in that; give them it with `tripmeter "
        "tenant set TENANT --currency %s`%s";

    if (text_eq(before->currency, after->currency))
        return;
    findings_file(findings, "policy");
    if (findings->force)
        finding_warning(findings, (struct mark){1, 1}, text, before->currency.at,
                        before->currency.at, "");
    else
        (void)finding_error(findings, (struct mark){1, 1}, text, before->currency.at,
                            before->currency.at, ", then --force takes it");
}

void
policy_prices_compare(struct findings *findings, const struct policy *before,
                      const struct policy *after)
{
    compare_currency(findings, before, after);
    for (size_t i = 0; i < after->prices.list_count; i++) {
        const struct price_list *list = &after->prices.lists[i];
        const struct price_list *was = prices_list(&before->prices, list->name);

        if (was != NULL && text_eq(was->currency, list->currency)) {
            findings_file(findings, list->file.at);
            price_list_compare(findings, was, list);
        }
    }
}
