#include "core/price.h"

const char *const price_part_names[PRICE_PART_COUNT] = {
    [PRICE_INPUT] = "input",
    [PRICE_CACHE_READ] = "cache_read",
    [PRICE_CACHE_WRITE] = "cache_write",
    [PRICE_OUTPUT] = "output",
    [PRICE_REASONING] = "reasoning",
    [PRICE_REQUEST] = "request",
};

const struct price_tier *
price_tier_of(const struct price_tier *tiers, size_t count, const int64_t usage[USAGE_COUNT])
{
    while (count > 1 && usage[USAGE_INPUT_TOKENS] <= tiers[count - 1].above)
        count--;
    return &tiers[count - 1];
}

tally
price_usage(const struct price *price, const int64_t usage[USAGE_COUNT])
{
    const int64_t used[PRICE_PART_COUNT] = {
        [PRICE_INPUT] = usage[USAGE_INPUT_TOKENS] - usage[USAGE_CACHE_READ_TOKENS] -
                        usage[USAGE_CACHE_WRITE_TOKENS],
        [PRICE_CACHE_READ] = usage[USAGE_CACHE_READ_TOKENS],
        [PRICE_CACHE_WRITE] = usage[USAGE_CACHE_WRITE_TOKENS],
        [PRICE_OUTPUT] = usage[USAGE_OUTPUT_TOKENS] - usage[USAGE_REASONING_TOKENS],
        [PRICE_REASONING] = usage[USAGE_REASONING_TOKENS],
        [PRICE_REQUEST] = usage[USAGE_REQUESTS],
    };
    tally sum = 0; /* six products below 2^53 * 2^60 */

    for (size_t i = 0; i < PRICE_PART_COUNT; i++)
        sum += (tally)used[i] * price->pico[i];
    return sum;
}

bool
price_round(tally pico, int64_t from, int64_t to, int64_t *nano)
{
    const int64_t pico_per_nano = PRICE_PICO_PER_UNIT / MONEY_NANO_PER_UNIT;
    tally amount;

    if (__builtin_mul_overflow(pico, from, &amount))
        return false;
    amount = tally_divide(amount, (tally)to * pico_per_nano);
    if (amount > MONEY_EVENT_LIMIT_NANO || amount < -(tally)MONEY_EVENT_LIMIT_NANO)
        return false;
    *nano = (int64_t)amount;
    return true;
}

tally
price_mark_up(int64_t cost, int64_t markup)
{
    return tally_divide((tally)cost * (MARKUP_ONE + markup), MARKUP_ONE);
}

bool
price_parse(struct text text, int64_t *pico)
{
    return money_parse_exact(text, 12, pico) && *pico >= 0 && *pico <= PRICE_PICO_LIMIT;
}

const char *
price_format(int64_t pico, char out[PRICE_TEXT_SIZE])
{
    char digits[PRICE_TEXT_SIZE];
    size_t size = 0;
    uint64_t rest = (uint64_t)pico;
    int place = 0;

    /* From the last decimal on; zeros at the end are left out. */
    do {
        const char digit = (char)('0' + (int)(rest % 10));

        if (place == 12 && size > 0)
            digits[size++] = '.';
        if (place >= 12 || digit != '0' || size > 0)
            digits[size++] = digit;
        rest /= 10;
        place++;
    } while (rest > 0 || place <= 12);
    for (size_t i = 0; i < size; i++)
        out[i] = digits[size - 1 - i];
    out[size] = '\0';
    return out;
}
