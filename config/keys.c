#include "config/keys.h"

#include "config/file.h"
#include "config/value.h"

enum key_type {
    KEY_TEXT,
    KEY_NAME,
    KEY_LABEL,
    KEY_IDENTIFIER,
    KEY_TOPIC,
    KEY_TOPIC_OR_NONE,
    KEY_HOST,
    KEY_IP,
    KEY_URL,
    KEY_SENDER,
    KEY_PATH,
    KEY_SECRET,
    KEY_POSTGRES,
    KEY_INTEGER,
    KEY_COUNT,
    KEY_SIZE,
    KEY_DURATION,
    KEY_SHIFT,
    KEY_BOOL,
    KEY_CHOICE,
    KEY_BROKERS,
    KEY_TOPICS,
    KEY_PROPERTIES,
    KEY_RECEIVERS,
};

struct key {
    const char *path;
    enum key_type type;
    size_t offset; /* of its member in struct config */
    size_t size;
    const char *preset; /* as a user would write it, REQUIRED or NONE */
    const char *range;
    const char *help;
};

static const char required[] = "required";
#define REQUIRED required
#define NONE     NULL

static const struct key keys[] = {
#define KEY(path_, type_, member_, preset_, range_, help_)   \
    {.path = (path_),                                        \
     .type = KEY_##type_,                                    \
     .offset = offsetof(struct config, member_),             \
     .size = sizeof(((const struct config *)NULL)->member_), \
     .preset = (preset_),                                    \
     .range = (range_),                                      \
     .help = (help_)},
#include "config/keys.def"
#undef KEY
};
enum { ROW_COUNT = sizeof keys / sizeof keys[0], PATH_ROOM = 96 };

typedef bool key_reader(struct loader *loader, const struct key *key, const struct yaml *node);

static key_reader read_text, read_topic_or_none, read_path, read_number, read_choice, read_brokers,
    read_topics, read_properties, read_receivers;

/* What a type is: how it is read, checked and shown. */
static const struct type {
    key_reader *read;
    text_check *check;
    bool (*number)(struct text text, int64_t *out);
    const char *form;
    bool secret; /* may stand in a file of its own: <path>_file */
} types[] = {
    [KEY_TEXT] = {read_text, NULL, NULL, "text", false},
    [KEY_NAME] = {read_text, value_check_name, NULL, "name", false},
    [KEY_LABEL] = {read_text, value_check_label, NULL, "name", false},
    [KEY_IDENTIFIER] = {read_text, value_check_identifier, NULL, "name", false},
    [KEY_TOPIC] = {read_text, value_check_topic, NULL, "topic", false},
    [KEY_TOPIC_OR_NONE] = {read_topic_or_none, value_check_topic, NULL, "topic or none", false},
    [KEY_HOST] = {read_text, value_check_host, NULL, "host", false},
    [KEY_IP] = {read_text, value_check_ip, NULL, "IP address", false},
    [KEY_URL] = {read_text, value_check_url, NULL, "URL", false},
    [KEY_SENDER] = {read_text, value_check_sender, NULL, "e-mail address", false},
    [KEY_PATH] = {read_path, NULL, NULL, "path", false},
    [KEY_SECRET] = {read_text, NULL, NULL, "secret", true},
    [KEY_POSTGRES] = {read_text, value_check_postgres, NULL, "connection", true},
    [KEY_INTEGER] = {read_number, NULL, value_integer, "a whole number", false},
    [KEY_COUNT] = {read_number, NULL, value_count, "a number, like 50000, 50k or 1M", false},
    [KEY_SIZE] = {read_number, NULL, value_size, "a size in bytes, like 64MiB", false},
    [KEY_DURATION] = {read_number, NULL, value_duration, "a duration, like 500ms or 15m", false},
    [KEY_SHIFT] = {read_number, NULL, value_shift, "a duration, like 2h or -30d", false},
    [KEY_BOOL] = {read_number, NULL, value_bool, "true or false", false},
    [KEY_CHOICE] = {read_choice, NULL, NULL, NULL, false},
    [KEY_BROKERS] = {read_brokers, value_check_broker, NULL, "list of host:port", false},
    [KEY_TOPICS] = {read_topics, value_check_topic, NULL, "list of topics", false},
    [KEY_PROPERTIES] = {read_properties, NULL, NULL, "map", false},
    [KEY_RECEIVERS] = {read_receivers, NULL, NULL, "map", false},
};

const char *
keys_path(size_t index)
{
    return index < ROW_COUNT ? keys[index].path : NULL;
}

static void *
member_of(struct loader *loader, const struct key *key)
{
    return (char *)loader->config + key->offset;
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* A member is as wide as its type in struct config: bool, int or enum, 64 bits. */
static void
store_number(void *member, size_t size, int64_t value)
{
    const bool flag = value != 0;
    const int32_t narrow = (int32_t)value;

    if (size == sizeof flag)
        memcpy(member, &flag, size);
    else if (size == sizeof narrow)
        memcpy(member, &narrow, size);
    else
        memcpy(member, &value, sizeof value);
}

static bool
in_range(const struct key *key, int64_t value)
{
    const char *dots = strstr(key->range, "..");
    int64_t low = INT64_MIN;
    int64_t high = INT64_MAX;

    if (dots != NULL) {
        (void)types[key->type].number((struct text){key->range, (size_t)(dots - key->range)}, &low);
        (void)types[key->type].number(text_of(dots + 2), &high);
    }
    return value >= low && value <= high;
}

static bool
read_number(struct loader *loader, const struct key *key, const struct yaml *node)
{
    const struct type *type = &types[key->type];
    struct text text;
    int64_t value;

    if (!loader_text(loader, node, key->path, &text))
        return false;
    if (!type->number(text, &value))
        return finding_error(loader->findings, node->at, "%s: %s is not %s", key->path, text.at,
                             type->form);
    if (!in_range(key, value))
        return finding_error(loader->findings, node->at, "%s: %s is outside %s", key->path, text.at,
                             key->range);
    store_number(member_of(loader, key), key->size, value);
    return true;
}

static bool
read_choice(struct loader *loader, const struct key *key, const struct yaml *node)
{
    int64_t value;

    if (!node_choice(loader->findings, node, key->path, key->range, &value))
        return false;
    store_number(member_of(loader, key), key->size, value);
    return true;
}

/* ---- texts ----------------------------------------------------------------------------------- */

static bool
read_text(struct loader *loader, const struct key *key, const struct yaml *node)
{
    return loader_string(loader, node, key->path, types[key->type].check, member_of(loader, key));
}

static bool
read_topic_or_none(struct loader *loader, const struct key *key, const struct yaml *node)
{
    const bool none = node->kind == YAML_TEXT && text_eq(node->text, TEXT("none"));

    return none || read_text(loader, key, node);
}

static bool
read_path(struct loader *loader, const struct key *key, const struct yaml *node)
{
    const char **member = member_of(loader, key);
    struct text text;

    if (!loader_text(loader, node, key->path, &text))
        return false;
    *member = file_beside(loader->config->path, text, loader->config->arena);
    return *member != NULL || finding_error(loader->findings, node->at, "out of memory");
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Adds ",broker"; a list given as one text has its commas already. */
static bool
add_broker(struct loader *loader, const struct yaml *node, struct text broker, const char **list)
{
    const size_t used = *list == NULL ? 0 : strlen(*list);
    const char *must = value_check_broker(broker);
    char *longer;

    if (must != NULL)
        return finding_error(loader->findings, node->at, "kafka.brokers: %s", must);
    longer = arena_take(loader->config->arena, used + broker.size + 2);
    if (longer == NULL)
        return finding_error(loader->findings, node->at, "out of memory");
    if (used > 0) {
        memcpy(longer, *list, used);
        longer[used] = ',';
    }
    memcpy(longer + used + (used > 0), broker.at, broker.size);
    *list = longer;
    return true;
}

static bool
add_brokers(struct loader *loader, const struct yaml *node, const char **list)
{
    struct text text;
    bool good = true;

    if (!loader_text(loader, node, "kafka.brokers", &text))
        return false;
    for (const char *at = text.at; good && at != NULL;) {
        const size_t size = strcspn(at, ",");

        good = add_broker(loader, node, (struct text){at, size}, list);
        at = at[size] == ',' ? at + size + 1 : NULL;
    }
    return good;
}

static bool
read_brokers(struct loader *loader, const struct key *key, const struct yaml *node)
{
    const char **member = member_of(loader, key);
    bool good = true;

    if (node->kind != YAML_LIST)
        return add_brokers(loader, node, member);
    if (node->count == 0)
        return finding_error(loader->findings, node->at, "%s: names no broker", key->path);
    for (const struct yaml *item = node->first; item != NULL; item = item->next)
        good = add_brokers(loader, item, member) && good;
    return good;
}

static bool
add_topic(struct loader *loader, const struct yaml *item)
{
    struct config *config = loader->config;
    const char *name;

    if (!loader_string(loader, item, "kafka.topics", value_check_topic, &name))
        return false;
    for (size_t i = 0; i < config->kafka.topic_count; i++)
        if (strcmp(config->kafka.topics[i], name) == 0)
            return finding_error(loader->findings, item->at,
                                 "kafka.topics: %s is in the list twice", name);
    if (config->kafka.topic_count == TOPIC_LIMIT)
        return finding_error(loader->findings, item->at, "kafka.topics: more than %d topics",
                             TOPIC_LIMIT);
    config->kafka.topics[config->kafka.topic_count++] = name;
    return true;
}

static bool
read_topics(struct loader *loader, const struct key *key, const struct yaml *node)
{
    bool good = true;

    if (!node_is(loader->findings, node, YAML_LIST, key->path, "[usage]"))
        return false;
    if (node->count == 0)
        return finding_error(loader->findings, node->at, "%s: names no topic", key->path);
    for (const struct yaml *item = node->first; item != NULL; item = item->next)
        good = add_topic(loader, item) && good;
    return good;
}

static bool
read_properties(struct loader *loader, const struct key *key, const struct yaml *node)
{
    (void)key;
    return properties_read(loader, node);
}

static bool
read_receivers(struct loader *loader, const struct key *key, const struct yaml *node)
{
    (void)key;
    return receivers_read(loader, node);
}

/* ---- loading --------------------------------------------------------------------------------- */

static void
load_preset(struct loader *loader, const struct key *key)
{
    const struct yaml node = {.kind = YAML_TEXT, .at = {1, 1}, .text = text_of(key->preset)};

    if (key->preset != REQUIRED && key->preset != NONE)
        (void)types[key->type].read(loader, key, &node);
}

/* False when it is wrong, or missing. */
static bool
load_given(struct loader *loader, const struct key *key)
{
    const struct type *type = &types[key->type];
    const struct yaml *node = loader_find(loader, key->path);
    const struct yaml *file = NULL;
    char path[PATH_ROOM];

    if (type->secret) {
        (void)snprintf(path, sizeof path, "%s_file", key->path);
        file = loader_find(loader, path);
    }
    if (node != NULL && file != NULL)
        return finding_error(loader->findings, file->key_at, "%s and %s are both given: keep one",
                             path, key->path);
    if (file != NULL)
        return loader_secret_file(loader, file, path, type->check, member_of(loader, key));
    if (node != NULL)
        return type->read(loader, key, node);
    if (key->preset == REQUIRED)
        return finding_error(loader->findings, loader_mark(loader, key->path), "%s is missing: %s",
                             key->path, key->help);
    return false;
}

/* What is wrong is the default for the checks that follow, so that one error does not look like
 * several. */
static void
load_key(struct loader *loader, const struct key *key)
{
    if (!load_given(loader, key))
        load_preset(loader, key);
}

/* Is it a key, its _file, or (with a dot behind) the group of one? */
static bool
is_known(const char *path, bool *group)
{
    const size_t size = strlen(path);

    *group = false;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const size_t own = strlen(keys[i].path);

        if (strcmp(keys[i].path, path) == 0)
            return true;
        if (types[keys[i].type].secret && strncmp(keys[i].path, path, own) == 0 &&
            strcmp(path + own, "_file") == 0)
            return true;
        if (strncmp(keys[i].path, path, size) == 0 && keys[i].path[size] == '.')
            *group = true;
    }
    return *group;
}

static struct text
group_of(const struct key *key)
{
    return (struct text){key->path, strcspn(key->path, ".")};
}

static struct text
last_part(struct text path)
{
    const char *dot = memchr(path.at, '.', path.size);

    return dot == NULL ? path : (struct text){dot + 1, path.size - (size_t)(dot + 1 - path.at)};
}

/* The key or group that is nearest to a misspelt one; a key of the same name in another group when
 * none is near. */
static struct text
nearest_key(struct text path)
{
    unsigned best = value_typo_limit(path.size) + 1;
    struct text nearest = {NULL, 0};

    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct text candidates[] = {text_of(keys[i].path), group_of(&keys[i])};

        for (size_t c = 0; c < sizeof candidates / sizeof candidates[0]; c++) {
            const unsigned distance = text_distance(path, candidates[c], best);

            if (distance < best) {
                best = distance;
                nearest = candidates[c];
            }
        }
    }
    for (size_t i = 0; nearest.at == NULL && i < ROW_COUNT; i++)
        if (text_eq(last_part(path), last_part(text_of(keys[i].path))))
            nearest = text_of(keys[i].path);
    return nearest;
}

static void
report_unknown(struct loader *loader, const struct yaml *member, const char *path)
{
    const struct text nearest = nearest_key(text_of(path));

    if (nearest.at != NULL)
        (void)finding_error(loader->findings, member->key_at,
                            "unknown key %s; did you mean `%.*s`?", path, (int)nearest.size,
                            nearest.at);
    else
        (void)finding_error(loader->findings, member->key_at,
                            "unknown key %s; `tripmeter check --keys` lists all", path);
}

static void
check_group(struct loader *loader, const struct yaml *group)
{
    char path[PATH_ROOM];
    bool is_group;

    if (group->kind == YAML_EMPTY || group->kind == YAML_BAD)
        return; /* a group whose keys are all commented out */
    if (group->kind != YAML_MAP) {
        (void)finding_error(loader->findings, group->at, "%s: must be a group of keys",
                            group->key.at);
        return;
    }
    for (const struct yaml *member = group->first; member != NULL; member = member->next) {
        (void)snprintf(path, sizeof path, "%s.%s", group->key.at, member->key.at);
        if (!is_known(path, &is_group))
            report_unknown(loader, member, path);
    }
}

static void
check_known(struct loader *loader)
{
    for (const struct yaml *member = loader->root->first; member != NULL; member = member->next) {
        bool is_group;

        if (strchr(member->key.at, '.') != NULL)
            (void)finding_error(loader->findings, member->key_at,
                                "%s: write the part before the dot as a group, and the rest "
                                "indented below it",
                                member->key.at);
        else if (!is_known(member->key.at, &is_group))
            report_unknown(loader, member, member->key.at);
        else if (is_group)
            check_group(loader, member);
    }
}

void
keys_load(struct loader *loader)
{
    check_known(loader);
    for (size_t i = 0; i < ROW_COUNT; i++)
        load_key(loader, &keys[i]);
}

/* ---- the reference --------------------------------------------------------------------------- */

static void
print_key(const struct key *key, FILE *out)
{
    const struct type *type = &types[key->type];

    (void)fprintf(out, "%s: %s", key->path, key->type == KEY_CHOICE ? key->range : type->form);
    if (key->type != KEY_CHOICE && key->range[0] != '\0')
        (void)fprintf(out, ", %s", key->range);
    if (type->secret)
        (void)fprintf(out, " (or %s_file)", key->path);
    if (key->preset == REQUIRED)
        (void)fputs("; required\n", out);
    else if (key->preset != NONE)
        (void)fprintf(out, "; default %s\n", key->preset);
    else
        (void)fputs("; no default\n", out);
    (void)fprintf(out, "    %s\n", key->help);
}

void
keys_print(FILE *out)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        print_key(&keys[i], out);
}
