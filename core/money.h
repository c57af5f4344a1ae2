/*
 * Money: integers, never a double.
 *
 * A single amount is int64 nano-units of its currency (9 decimals, up to +-9.2e9 units); tallies
 * are 128-bit.  Decimal text is read exactly and rounded half-even to the nano only when it has
 * more than 9 decimals.  Overflow is an error, never a wrap.
 */
#ifndef CORE_MONEY_H
#define CORE_MONEY_H

#include "core/err.h"
#include "core/text.h"

__extension__ typedef __int128 tally; /* nano-units, or a count; the one typedef we keep */

struct money {
    int64_t nano;
};

#define MONEY_NANO_PER_UNIT INT64_C(1000000000)
/* Amounts of events lie within +-9e9 units. */
#define MONEY_EVENT_LIMIT_NANO (INT64_C(9000000000) * MONEY_NANO_PER_UNIT)

/*
 * Decimal text as JSON writes numbers: [-]digits[.digits][(e|E)[+-]digits]; a leading '+' and
 * leading zeros are accepted, blanks are not.  Half-even to the nano, exactly, whatever the
 * exponent ("0E-9", "7.5e-08").  At most 64 bytes.  INPUT error when it is no number or beyond
 * +-9e9 units.
 */
bool money_parse(struct text text, struct money *out, struct err *why);

/* The same, but exactly, as an integer of 10^-decimals (9..18): false when it is no number, would be
 * rounded, or does not fit. */
bool money_parse_exact(struct text text, int decimals, int64_t *out);

/* The double's exact binary value, half-even to the nano, in integers. INPUT error when it is not
 * finite or its magnitude is above `limit_units`. */
bool money_from_double(double value, int64_t limit_units, struct money *out, struct err *why);

/* False on overflow; *sum is then untouched. */
bool money_add(struct money a, struct money b, struct money *sum);
static inline bool
tally_add(tally *sum, tally amount)
{
    tally result;

    if (__builtin_add_overflow(*sum, amount, &result))
        return false;
    *sum = result;
    return true;
}

/* amount / divisor, half to even; neither is the most negative tally. */
tally tally_divide(tally amount, tally divisor);

#define TALLY_TEXT_SIZE 48
/* Nano-units as exact decimal text with 9 decimals: "31.649071125", "-0.145190800". */
const char *tally_format_money(tally nano, char out[TALLY_TEXT_SIZE]);
/* The shortest: trailing zeros of the fraction dropped, at least `decimals` of them kept. */
const char *tally_format_short(tally nano, int decimals, char out[TALLY_TEXT_SIZE]);
/* A count as decimal integer. */
const char *tally_format_count(tally count, char out[TALLY_TEXT_SIZE]);
/* Decimal text with at most 9 decimals (or none, for counts) to a tally; what Postgres prints for
 * NUMERIC. False when it is not exact or does not fit. */
bool tally_parse_money(struct text text, tally *nano);
bool tally_parse_count(struct text text, tally *count);

#endif
