#include "config/value.h"

#include "core/clock.h"

#include <arpa/inet.h>
#include <libpq-fe.h>

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool
is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool
is_alnum(char c)
{
    return is_digit(c) || is_lower(c) || is_upper(c);
}

static bool
starts_with(struct text text, const char *start)
{
    const size_t size = strlen(start);

    return text.size >= size && memcmp(text.at, start, size) == 0;
}

static struct text
cut(struct text text, size_t from, size_t to)
{
    return (struct text){text.at + from, to - from};
}

/* ---- numbers --------------------------------------------------------------------------------- */

bool
value_integer(struct text text, int64_t *out)
{
    char digits[32];
    size_t count = 0;

    for (size_t i = 0; i < text.size; i++) {
        const bool between =
            i > 0 && i + 1 < text.size && is_digit(text.at[i - 1]) && is_digit(text.at[i + 1]);

        if (text.at[i] == '_' && between)
            continue;
        if (count == sizeof digits)
            return false;
        digits[count++] = text.at[i];
    }
    return text_to_int((struct text){digits, count}, INT64_MIN, INT64_MAX, out);
}

struct unit {
    const char *name;
    int64_t factor;
};

static bool
read_with_unit(struct text text, const struct unit *units, size_t unit_count, int64_t *out)
{
    size_t digits = text.size;
    const struct unit *unit = NULL;

    while (digits > 0 && !is_digit(text.at[digits - 1]))
        digits--;
    for (size_t i = 0; unit == NULL && i < unit_count; i++)
        if (text_eq(cut(text, digits, text.size), text_of(units[i].name)))
            unit = &units[i];
    return unit != NULL && value_integer(cut(text, 0, digits), out) &&
           !__builtin_mul_overflow(*out, unit->factor, out);
}

bool
value_count(struct text text, int64_t *out)
{
    static const struct unit units[] = {{"", 1}, {"k", 1000}, {"M", 1000000}, {"G", 1000000000}};

    return read_with_unit(text, units, sizeof units / sizeof units[0], out);
}

bool
value_size(struct text text, int64_t *out)
{
    static const struct unit units[] = {
        {"", 1}, {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};

    return read_with_unit(text, units, sizeof units / sizeof units[0], out);
}

bool
value_duration(struct text text, int64_t *ms)
{
    return clock_parse_duration(text, ms);
}

bool
value_shift(struct text text, int64_t *ms)
{
    const bool negative = starts_with(text, "-");
    const size_t from = negative || starts_with(text, "+") ? 1 : 0;

    if (!clock_parse_duration(cut(text, from, text.size), ms))
        return false;
    if (negative)
        *ms = -*ms;
    return true;
}

bool
value_bool(struct text text, int64_t *out)
{
    return value_choice(text, "false|true", out);
}

/* ---- one of several words -------------------------------------------------------------------- */

/* Takes the first word off "one|two"; absent at the end. */
static struct text
next_choice(const char **choices)
{
    const size_t size = strcspn(*choices, "|");
    const struct text word = {size == 0 ? NULL : *choices, size};

    *choices += size;
    if (**choices == '|')
        (*choices)++;
    return word;
}

bool
value_choice(struct text text, const char *choices, int64_t *out)
{
    struct text word = next_choice(&choices);

    for (int64_t i = 0; word.at != NULL; i++, word = next_choice(&choices))
        if (text_eq(text, word)) {
            *out = i;
            return true;
        }
    return false;
}

unsigned
value_typo_limit(size_t size)
{
    return size < 4 ? 1 : (unsigned)(size < 24 ? size / 4 + 1 : 6);
}

struct text
value_nearest_choice(struct text text, const char *choices)
{
    unsigned best = value_typo_limit(text.size) + 1;
    struct text nearest = {NULL, 0};

    for (struct text word = next_choice(&choices); word.at != NULL; word = next_choice(&choices)) {
        const unsigned distance = text_distance(text, word, best);

        if (distance < best) {
            best = distance;
            nearest = word;
        }
    }
    return nearest;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Letters, digits and `more`; at most `limit` bytes and at least one. */
static bool
has_only(struct text text, const char *more, size_t limit)
{
    for (size_t i = 0; i < text.size; i++)
        if (!is_alnum(text.at[i]) && (text.at[i] == '\0' || strchr(more, text.at[i]) == NULL))
            return false;
    return text.size > 0 && text.size <= limit;
}

static bool
is_word(struct text text, bool dash)
{
    for (size_t i = 0; i < text.size; i++)
        if (!is_lower(text.at[i]) && (i == 0 || (!is_digit(text.at[i]) && text.at[i] != '_' &&
                                                 (!dash || text.at[i] != '-'))))
            return false;
    return text.size > 0 && text.size <= 63;
}

const char *
value_check_name(struct text text)
{
    return has_only(text, "._-", 64) ? NULL : "must be 1 to 64 letters, digits, '.', '_' or '-'";
}

const char *
value_check_topic(struct text text)
{
    const bool dots = text_eq(text, TEXT(".")) || text_eq(text, TEXT(".."));

    return has_only(text, "._-", 249) && !dots
               ? NULL
               : "must be a topic's name: 1 to 249 letters, digits, '.', '_' or '-'";
}

const char *
value_check_identifier(struct text text)
{
    if (!is_word(text, false))
        return "must be a name of small letters, digits and '_', at most 63, a letter first";
    return starts_with(text, "pg_") ? "must not begin with pg_, which Postgres keeps for itself"
                                    : NULL;
}

const char *
value_check_word(struct text text)
{
    return is_word(text, false)
               ? NULL
               : "must be small letters, digits and '_', at most 63, a letter first";
}

const char *
value_check_label(struct text text)
{
    return is_word(text, true)
               ? NULL
               : "must be small letters, digits, '_' and '-', at most 63, a letter first";
}

const char *
value_check_currency(struct text text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!is_upper(text.at[i]))
            return "must be a currency code of three capital letters, like USD";
    return text.size == 3 ? NULL : "must be a currency code of three capital letters, like USD";
}

/* ---- addresses ------------------------------------------------------------------------------- */

static bool
is_host(struct text text)
{
    return has_only(text, ".-", 253) && text.at[0] != '.' && text.at[0] != '-' &&
           text.at[text.size - 1] != '-';
}

static bool
is_ip6(struct text text)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];

    return text.size < sizeof copy && text_copy(copy, sizeof copy, text) == text.size &&
           inet_pton(AF_INET6, copy, address) == 1;
}

static bool
is_ip4(struct text text)
{
    char copy[INET_ADDRSTRLEN];
    unsigned char address[sizeof(struct in_addr)];

    return text.size < sizeof copy && text_copy(copy, sizeof copy, text) == text.size &&
           inet_pton(AF_INET, copy, address) == 1;
}

/* host, host:port, [v6]:port; *port stays as it was when there is none. */
static bool
is_host_port(struct text text, int64_t *port)
{
    const char *colon = NULL;
    struct text host = text;

    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] == ':')
            colon = text.at + i;
        else if (text.at[i] == ']')
            colon = NULL;
    if (colon != NULL) {
        host.size = (size_t)(colon - text.at);
        if (!text_to_int(cut(text, host.size + 1, text.size), 1, 65535, port))
            return false;
    }
    if (host.size > 2 && host.at[0] == '[' && host.at[host.size - 1] == ']')
        return is_ip6(cut(host, 1, host.size - 1));
    return is_host(host);
}

const char *
value_check_broker(struct text text)
{
    int64_t port = 0;

    return is_host_port(text, &port) && port != 0 ? NULL : "must be host:port, like kafka-1:9092";
}

const char *
value_check_host(struct text text)
{
    return is_host(text) || is_ip6(text) ? NULL : "must be a host name or an IP address";
}

const char *
value_check_ip(struct text text)
{
    return is_ip4(text) || is_ip6(text) ? NULL
                                        : "must be an IP address, like 127.0.0.1, 0.0.0.0 or ::";
}

static bool
is_email(struct text text)
{
    size_t sign = 0;

    for (size_t i = 0; i < text.size; i++) {
        const unsigned char byte = (unsigned char)text.at[i];

        if (byte <= ' ' || byte >= 0x7f || strchr("<>()[]\\,;:\"", byte) != NULL)
            return false;
        if (byte == '@')
            sign = i;
    }
    return text.size <= 254 && sign > 0 && sign <= 64 && memchr(text.at, '@', sign) == NULL &&
           is_host(cut(text, sign + 1, text.size));
}

const char *
value_check_email(struct text text)
{
    return is_email(text) ? NULL : "must be one e-mail address, like ops@example.com";
}

const char *
value_check_sender(struct text text)
{
    const char *open = memchr(text.at, '<', text.size);

    if (open != NULL && text.at[text.size - 1] == '>')
        text = cut(text, (size_t)(open - text.at) + 1, text.size - 1);
    return is_email(text) ? NULL
                          : "must be an e-mail address, like alerts@example.com or Alerts "
                            "<alerts@example.com>";
}

const char *
value_check_url(struct text text)
{
    size_t from = 0;
    size_t end;
    int64_t port = 0;

    if (starts_with(text, "https://"))
        from = strlen("https://");
    else if (starts_with(text, "http://"))
        from = strlen("http://");
    else
        return "must be a URL that begins with https://";
    for (end = from; end < text.size && strchr("/?#", text.at[end]) == NULL; end++)
        if (text.at[end] == '@')
            return "must not have a user or password before the host: they would show up in logs";
    if (!is_host_port(cut(text, from, end), &port))
        return "must be a URL with a host and, if any, a port of 1..65535";
    for (size_t i = end; i < text.size; i++)
        if (text.at[i] <= ' ' || text.at[i] >= 0x7f)
            return "must be a URL without blanks, other characters as %-escapes";
    return text.size <= 2048 ? NULL : "must be a URL of at most 2048 bytes";
}

const char *
value_check_postgres(struct text text)
{
    PQconninfoOption *options = PQconninfoParse(text.at, NULL);

    if (options == NULL)
        return "must be postgresql://user@host/database or host=... dbname=...";
    PQconninfoFree(options);
    return NULL;
}

/* ---- signing keys ---------------------------------------------------------------------------- */

const char *
value_check_signing_key(struct text text)
{
    static const char *const wrong =
        "must be whsec_ and 24 to 64 random bytes in base64, as `openssl rand -base64 32` gives";
    struct text body;
    size_t padding = 0;
    size_t bytes;

    if (!starts_with(text, "whsec_"))
        return wrong;
    body = cut(text, strlen("whsec_"), text.size);
    while (padding < 2 && body.size > 0 && body.at[body.size - 1] == '=') {
        body.size--;
        padding++;
    }
    for (size_t i = 0; i < body.size; i++)
        if (!is_alnum(body.at[i]) && body.at[i] != '+' && body.at[i] != '/')
            return wrong;
    bytes = body.size * 3 / 4;
    return (body.size + padding) % 4 == 0 && bytes >= 24 && bytes <= 64 ? NULL : wrong;
}
