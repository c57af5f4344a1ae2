#include "cli/scope.h"

#include "cli/options.h"
#include "core/fleet.h"

#include <arpa/inet.h>

static const char *const kinds[] = {"tenant", "project", "key", "feature", "model", "ip"};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

static bool
refused(const char *word, const char *what, struct err *why)
{
    return err_set(why, ERR_INPUT, "scope \"%s\": %s; a scope is %s", word, what, SCOPE_FORMS);
}

static bool
known_kind(const char *word, struct text kind, struct err *why)
{
    char name[32];

    for (size_t i = 0; i < KIND_COUNT; i++)
        if (text_eq(kind, text_of(kinds[i])))
            return true;
    if (kind.size == strlen(word))
        return refused(word, "no kind, as in tenant/acme", why);
    (void)text_copy(name, sizeof name, kind);
    const char *near = options_nearest(name, kinds, KIND_COUNT);

    if (near == NULL)
        return refused(word, "unknown kind", why);
    return err_set(why, ERR_INPUT, "scope \"%s\": unknown kind, did you mean \"%s\"? A scope is %s",
                   word, near, SCOPE_FORMS);
}

/* A part as it is, decoded when it is encoded. */
static bool
part_of(const char *word, struct text typed, char room[SCOPE_SIZE], struct text *out,
        struct err *why)
{
    size_t size = 0;

    *out = typed;
    if (typed.size > 0 && memchr(typed.at, '%', typed.size) != NULL) {
        if (!text_percent_decode(room, SCOPE_SIZE, typed, &size))
            return refused(word, "a % must begin two hexadecimal digits", why);
        *out = (struct text){room, size};
    }
    if (out->size == 0)
        return refused(word, "an empty part", why);
    if (text_eq(*out, FLEET_TENANT))
        return refused(word, "it must name one; only feature/*/F is of all tenants", why);
    if (!text_is_clean(*out))
        return refused(word, "control characters or no UTF-8", why);
    return true;
}

static bool
is_address(struct text part)
{
    unsigned char bytes[16];
    char name[64];

    if (part.size >= sizeof name)
        return false;
    (void)text_copy(name, sizeof name, part);
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

bool
scope_of_word(const char *word, char out[SCOPE_SIZE], struct err *why)
{
    char first_room[SCOPE_SIZE];
    char second_room[SCOPE_SIZE];
    struct text first = {NULL, 0};
    struct text second = {NULL, 0};
    const struct text kind = {word, strcspn(word, "/")};

    if (!known_kind(word, kind, why))
        return false;
    const bool is_tenant = text_eq(kind, TEXT("tenant"));
    const char *rest = word + kind.size + (word[kind.size] == '/');
    const size_t first_size = is_tenant ? strlen(rest) : strcspn(rest, "/");

    if (text_eq(kind, TEXT("feature")) && first_size == 1 && *rest == '*')
        first = FLEET_TENANT;
    else if (!part_of(word, (struct text){rest, first_size}, first_room, &first, why))
        return false;
    rest += first_size;
    if (!is_tenant &&
        (*rest != '/' || !part_of(word, text_of(rest + 1), second_room, &second, why)))
        return *rest != '/' ? refused(word, "too few parts", why) : false;
    if (text_eq(kind, TEXT("ip")) && !is_address(second))
        return refused(word, "no IP address", why);
    char name[32];

    (void)text_copy(name, sizeof name, kind);
    return scope_build(out, name, first, second) > 0 || refused(word, "too long", why);
}
