#include "rules/prices.h"

#include "core/identity.h"

void
prices_free(struct prices *prices)
{
    for (size_t i = 0; i < prices->list_count; i++)
        table_free(&prices->lists[i].index);
}

const struct price_list *
prices_list(const struct prices *prices, struct text name)
{
    for (size_t i = 0; i < prices->list_count; i++)
        if (text_eq(prices->lists[i].name, name))
            return &prices->lists[i];
    return NULL;
}

const struct price_version *
price_find(const struct price_list *list, struct text provider, struct text model, int64_t at_ms)
{
    const struct text names[] = {provider, model};
    const uint32_t place = table_find(&list->index, identity_texts((struct key128){0}, names, 2));

    /* A model without a provider that several have points behind the entries. */
    if (place >= list->entry_count)
        return NULL;
    const struct price_entry *entry = &list->entries[place];
    size_t i = entry->version_count;

    while (i > 0 && entry->versions[i - 1].from_ms > at_ms)
        i--;
    return i > 0 && at_ms < entry->versions[i - 1].until_ms ? &entry->versions[i - 1] : NULL;
}

const struct price *
price_fallback(const struct price_list *list, struct text provider)
{
    size_t i = 0;

    if (list->fallback_count == 0)
        return NULL;
    while (i + 1 < list->fallback_count && !text_eq(list->fallbacks[i].provider, provider))
        i++;
    return &list->fallbacks[i].price;
}

static bool
rate_at(const struct prices *prices, struct text code, int64_t at_ms, int64_t *nano)
{
    *nano = RATE_ONE;
    if (text_eq(code, prices->base))
        return true;
    for (size_t c = 0; c < prices->currency_count; c++) {
        const struct currency *currency = &prices->currencies[c];

        for (size_t i = currency->rate_count; text_eq(currency->code, code) && i > 0; i--)
            if (currency->rates[i - 1].from_ms <= at_ms) {
                *nano = currency->rates[i - 1].nano;
                return true;
            }
    }
    return false;
}

bool
prices_rates(const struct prices *prices, struct text from, struct text to, int64_t at_ms,
             int64_t rates[2])
{
    rates[0] = rates[1] = RATE_ONE;
    return text_eq(from, to) ||
           (rate_at(prices, from, at_ms, &rates[0]) && rate_at(prices, to, at_ms, &rates[1]));
}

int64_t
prices_known_since(const struct prices *prices, struct text code)
{
    for (size_t c = 0; c < prices->currency_count; c++)
        if (text_eq(prices->currencies[c].code, code) && prices->currencies[c].rate_count > 0)
            return prices->currencies[c].rates[0].from_ms;
    return INT64_MIN;
}

tally
prices_at(tally nano, const int64_t rates[2])
{
    tally product;

    if (rates[0] == rates[1] || __builtin_mul_overflow(nano, rates[0], &product))
        return nano;
    return tally_divide(product, rates[1]);
}

tally
prices_convert(const struct prices *prices, tally nano, struct text from, struct text to,
               int64_t at_ms)
{
    int64_t rates[2];

    return prices_rates(prices, from, to, at_ms, rates) ? prices_at(nano, rates) : nano;
}

/* "20%", "-2.5%": at most 4 decimals. */
static bool
read_markup(struct text text, int64_t *markup)
{
    return text.size > 1 && text.at[text.size - 1] == '%' &&
           money_parse_exact((struct text){text.at, text.size - 1}, 4, markup) &&
           *markup > -MARKUP_ONE && *markup <= MARKUP_LIMIT;
}

const char *
charge_read(struct text words, const struct prices *prices, struct charge_rule *rule)
{
    const char *blank = words.size == 0 ? NULL : memchr(words.at, ' ', words.size);
    const size_t first = blank == NULL ? words.size : (size_t)(blank - words.at);
    const struct text list = {words.at, first};
    const struct text rest = {words.at + first + 1, blank == NULL ? 0 : words.size - first - 1};

    *rule = (struct charge_rule){.words = words};
    if (text_eq(words, TEXT("cost"))) {
        rule->words = (struct text){NULL, 0};
        return NULL;
    }
    if (blank == NULL && words.size > 0 && words.at[words.size - 1] == '%')
        return read_markup(words, &rule->markup)
                   ? NULL
                   : "must be a mark-up above -100% and up to 10000%, like 20% or -2.5%";
    if (rest.size > 0 && !read_markup(rest, &rule->markup))
        return "must be a price list and a mark-up for models it does not have, like retail 20%";
    if (first == 0 || (prices != NULL && (rule->list = prices_list(prices, list)) == NULL))
        return "must be cost, a mark-up like 20%, or the name of one of the policy's price lists";
    return NULL;
}
