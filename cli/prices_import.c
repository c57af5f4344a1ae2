/*
 * prices import: the public price list (model_prices_and_context_window.json of LiteLLM) as one of
 * ours.  Numbers are taken as they are written, never through a double: they are put in quotes before
 * the file is read as JSON.
 */
#include "cli/command.h"
#include "config/file.h"
#include "core/price.h"

#include <inttypes.h>
#include <stdlib.h>

#define FILE_LIMIT ((size_t)64 << 20)
#define NAME_ROOM  512

static const struct option_row import_options[] = {
    {"provider", "FROM=TO", "another name for a provider, as events have it", true},
    {NULL, NULL, NULL, false}};

/* What the public list calls the parts of a price; the first that is there counts. */
static const struct {
    enum price_part part;
    const char *name;
} parts[] = {
    {PRICE_INPUT, "input_cost_per_token"},
    {PRICE_CACHE_READ, "cache_read_input_token_cost"},
    {PRICE_CACHE_READ, "input_cost_per_token_cache_hit"},
    {PRICE_CACHE_WRITE, "cache_creation_input_token_cost"},
    {PRICE_OUTPUT, "output_cost_per_token"},
    {PRICE_REASONING, "output_cost_per_reasoning_token"},
    {PRICE_REQUEST, "input_cost_per_request"},
};
enum { PARTS = sizeof parts / sizeof parts[0] };

struct importing {
    const struct arguments *arguments;
    json_t *models;
    size_t taken;
    size_t left_out;
    bool good;
};

/* ---- numbers as texts ---------------------------------------------------------------------------- */

static bool
is_number(char c)
{
    return c != '\0' && strchr("+-0123456789.eE", c) != NULL;
}

/* The same JSON with every number in quotes; free() it. */
static char *
quote_numbers(struct text json, size_t *size)
{
    char *out = malloc(3 * json.size + 1);
    bool text = false;
    size_t to = 0;

    for (size_t i = 0; out != NULL && i < json.size; i++) {
        const char c = json.at[i];

        if (text && c == '\\' && i + 1 < json.size)
            out[to++] = json.at[i++];
        else if (c == '"')
            text = !text;
        if (text || !(c == '-' || (c >= '0' && c <= '9'))) {
            out[to++] = json.at[i];
            continue;
        }
        out[to++] = '"';
        while (i < json.size && is_number(json.at[i]))
            out[to++] = json.at[i++];
        out[to++] = '"';
        i--;
    }
    *size = to;
    return out;
}

static json_t *
read_models(const char *path, struct err *why)
{
    struct arena *arena = arena_new(2 * FILE_LIMIT);
    json_error_t error = {.line = 0};
    json_t *models = NULL;
    struct text body;
    size_t size = 0;

    if (arena == NULL || !file_read(path, FILE_LIMIT, arena, &body, why)) {
        (void)err_wrap(why, "%s", path);
    } else {
        char *quoted = quote_numbers(body, &size);

        models = quoted == NULL ? NULL : json_loadb(quoted, size, JSON_REJECT_DUPLICATES, &error);
        if (models == NULL)
            (void)err_set(why, ERR_INPUT, "%s:%d: not JSON: %s", path, error.line, error.text);
        else if (!json_is_object(models)) {
            (void)err_set(why, ERR_INPUT, "%s: no list of models", path);
            json_decref(models);
            models = NULL;
        }
        free(quoted);
    }
    arena_free(arena);
    return models;
}

/* ---- one model ----------------------------------------------------------------------------------- */

static const char *
provider_of(const struct importing *importing, const json_t *model)
{
    const char *name = json_string_value(json_object_get(model, "litellm_provider"));

    for (size_t i = 0; name != NULL && i < importing->arguments->given_count; i++) {
        const struct given *given = &importing->arguments->given[i];
        const char *equals = given->value == NULL ? NULL : strchr(given->value, '=');

        if (equals != NULL && strlen(name) == (size_t)(equals - given->value) &&
            memcmp(name, given->value, strlen(name)) == 0)
            return equals + 1;
    }
    return name;
}

/* The price of a part, as it is written; above 0: for more input tokens than that. */
static const char *
part_text(const json_t *model, enum price_part part, int64_t above)
{
    for (size_t i = 0; i < PARTS; i++) {
        char name[NAME_ROOM];

        (void)snprintf(name, sizeof name, above == 0 ? "%s" : "%s_above_%" PRId64 "k_tokens",
                       parts[i].name, above / 1000);
        const char *text = json_string_value(json_object_get(model, name));

        if (parts[i].part == part && text != NULL)
            return text;
    }
    return NULL;
}

/* Bounds of tiers that the member names end in, rising, without repeats. */
static size_t
find_tiers(json_t *model, int64_t above[PRICE_TIER_LIMIT])
{
    size_t count = 0;
    const char *name;
    json_t *value;

    json_object_foreach(model, name, value)
    {
        const char *at = strstr(name, "_token_above_");
        char *end = NULL;
        size_t place = 0;

        at = at == NULL ? strstr(name, "_token_cost_above_") : at;
        if (at == NULL || count == PRICE_TIER_LIMIT)
            continue;
        const long thousands = strtol(strstr(at, "above_") + 6, &end, 10);

        if (strcmp(end, "k_tokens") != 0 || thousands <= 0 || thousands > 1000000)
            continue;
        while (place < count && above[place] < thousands * 1000)
            place++;
        if (place < count && above[place] == thousands * 1000)
            continue;
        memmove(&above[place + 1], &above[place], (count - place) * sizeof *above);
        above[place] = thousands * 1000;
        count++;
    }
    return count;
}

/* ", input: 3e-06" and so on; false when one is no price of ours. */
static bool
print_parts(struct importing *importing, const char *name, const json_t *model, int64_t above)
{
    const char *before = "";

    for (enum price_part part = 0; part < PRICE_PART_COUNT; part++) {
        const char *text = part_text(model, part, above);
        int64_t pico;

        if (text == NULL)
            continue;
        if (!price_parse(text_of(text), &pico)) {
            command_complain("%s: %s of %s for one %s is no multiple of 1e-12 up to 1e6", name,
                             price_part_names[part], text,
                             part == PRICE_REQUEST ? "request" : "token");
            importing->good = false;
        }
        printf("%s%s: %s", before, price_part_names[part], text);
        before = ", ";
    }
    return importing->good;
}

static void
print_quoted(const char *text)
{
    json_t *value = json_string(text);
    char *quoted = json_dumps(value, JSON_ENCODE_ANY);

    fputs(quoted == NULL ? "\"\"" : quoted, stdout);
    free(quoted);
    json_decref(value);
}

static bool
has_tokens(const json_t *model)
{
    return part_text(model, PRICE_INPUT, 0) != NULL || part_text(model, PRICE_OUTPUT, 0) != NULL;
}

/* "gemini/gemini-2.5-pro" is also gemini-2.5-pro, unless that is a model itself. */
static const char *
alias_of(const struct importing *importing, const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash == NULL || json_object_get(importing->models, slash + 1) != NULL ? NULL
                                                                                  : slash + 1;
}

static void
print_model(struct importing *importing, const char *name, json_t *model)
{
    const char *alias = alias_of(importing, name);
    int64_t above[PRICE_TIER_LIMIT + 1];
    const size_t tiers = find_tiers(model, above);

    printf("    ");
    print_quoted(name);
    fputs(": {", stdout);
    if (alias != NULL) {
        fputs("aliases: [", stdout);
        print_quoted(alias);
        fputs("], ", stdout);
    }
    (void)print_parts(importing, name, model, 0);
    for (size_t t = 0; t < tiers; t++) {
        printf("%s{above: %" PRId64 ", ", t == 0 ? ", tiers: [" : ", ", above[t]);
        (void)print_parts(importing, name, model, above[t]);
        fputs(t + 1 == tiers ? "}]" : "}", stdout);
    }
    puts("}");
    importing->taken++;
}

/* ---- the list ------------------------------------------------------------------------------------ */

static bool
is_first_of(const struct importing *importing, const char *provider, const char *name)
{
    const char *other;
    json_t *model;

    json_object_foreach(importing->models, other, model)
    {
        const char *its = provider_of(importing, model);

        if (its != NULL && has_tokens(model) && strcmp(its, provider) == 0)
            return strcmp(other, name) == 0;
    }
    return false;
}

static void
print_provider(struct importing *importing, const char *provider)
{
    const char *name;
    json_t *model;

    printf("  ");
    print_quoted(provider);
    puts(":");
    json_object_foreach(importing->models, name, model)
    {
        const char *its = provider_of(importing, model);

        if (its != NULL && has_tokens(model) && strcmp(its, provider) == 0)
            print_model(importing, name, model);
    }
}

static void
print_list(struct importing *importing)
{
    const char *name;
    json_t *model;

    puts("# Made by tripmeter prices import. Prices are US dollars for one token. Prices of "
         "batches, of\n"
         "# priority and flex service, and for anything but tokens and requests are not in it.\n"
         "currency: USD\n"
         "providers:");
    json_object_foreach(importing->models, name, model)
    {
        const char *provider = provider_of(importing, model);

        if (provider != NULL && has_tokens(model) && is_first_of(importing, provider, name))
            print_provider(importing, provider);
    }
    json_object_foreach(importing->models, name, model)
    {
        if (provider_of(importing, model) != NULL && has_tokens(model))
            continue;
        importing->left_out++;
        printf("# left out, without a price for one token: %s\n", name);
    }
}

static enum answer
run_import(const struct arguments *arguments)
{
    struct err why = {.class = ERR_NONE};
    struct importing importing = {
        .arguments = arguments, .models = read_models(arguments->words[0], &why), .good = true};

    if (importing.models == NULL)
        return command_failed(&why);
    print_list(&importing);
    json_decref(importing.models);
    fprintf(stderr, "%zu models, %zu left out\n", importing.taken, importing.left_out);
    return importing.good ? ANSWER_FINE : ANSWER_NO;
}

const struct command_row command_prices_import = {
    .name = "prices import",
    .words = "FILE",
    .least = 1,
    .most = 1,
    .what = "Turn the public price list into one of ours, on stdout",
    .more = "FILE is model_prices_and_context_window.json of LiteLLM, or of a mirror of it. Every\n"
            "price is taken as it is written. Look at the result before you use it.\n"
            "\n"
            "  tripmeter prices import list.json --provider vertex_ai-language-models=google \\\n"
            "      > prices.yaml\n",
    .options = import_options,
    .run = run_import};
