#include "config/config.h"

#include "config/file.h"
#include "config/keys.h"
#include "rules/policy.h"

#include <openssl/sha.h>

enum { ARENA_SIZE = 48 << 20, TREE_SIZE = 64 << 20 };

_Static_assert(SHA256_DIGEST_LENGTH == sizeof(((struct config *)NULL)->policy_hash),
               "the policy's hash is a SHA-256");

/* ---- what several keys say together ------------------------------------------------------------ */

static void
check_topics(struct loader *loader)
{
    const struct config *config = loader->config;
    const struct {
        const char *path;
        const char *name;
    } others[] = {
        {"kafka.control_topic", config->kafka.control_topic},
        {"kafka.dead_letter_topic", config->kafka.dead_letter_topic},
    };

    for (size_t i = 0; i < config->kafka.topic_count; i++)
        for (size_t o = 0; o < sizeof others / sizeof others[0]; o++)
            if (others[o].name != NULL && strcmp(config->kafka.topics[i], others[o].name) == 0)
                (void)finding_error(loader->findings, loader_mark(loader, "kafka.topics"),
                                    "kafka.topics: %s is %s: the engine would read what it writes",
                                    others[o].name, others[o].path);
    if (others[0].name != NULL && others[1].name != NULL &&
        strcmp(others[0].name, others[1].name) == 0)
        (void)finding_error(loader->findings, loader_mark(loader, others[1].path),
                            "kafka.dead_letter_topic: %s is kafka.control_topic already",
                            others[1].name);
}

static void
check_time(struct loader *loader)
{
    const struct config *config = loader->config;

    if (config->kafka.time == TIME_TRUST_PRODUCERS)
        finding_warning(loader->findings, loader_mark(loader, "kafka.time"),
                        "kafka.time: the clocks of producers decide when limits reset; for "
                        "imports, tests and the demo only");
    else if (config->clock_offset_ms != 0)
        (void)finding_error(loader->findings, loader_mark(loader, "clock.offset"),
                            "clock.offset: a shifted clock needs kafka.time: trust_producers; "
                            "remove it for real traffic");
}

static void
check_mail(struct loader *loader)
{
    struct config *config = loader->config;
    static const int ports[] = {[SMTP_STARTTLS] = 587, [SMTP_IMPLICIT] = 465, [SMTP_OFF] = 25};

    /* What stands in the file, be it right or wrong. */
    const bool user = loader_find(loader, "smtp.user") != NULL;
    const bool password = loader_find(loader, "smtp.password") != NULL ||
                          loader_find(loader, "smtp.password_file") != NULL;

    if (config->smtp.port == 0)
        config->smtp.port = ports[config->smtp.tls];
    if (config->smtp.host != NULL && loader_find(loader, "smtp.from") == NULL)
        (void)finding_error(loader->findings, loader_mark(loader, "smtp.host"),
                            "smtp.from is missing: the sender of e-mails");
    if (user != password)
        (void)finding_error(loader->findings,
                            loader_mark(loader, user ? "smtp.user" : "smtp.password"),
                            "smtp.user and smtp.password go together: give both or none");
    if (config->smtp.host != NULL && config->smtp.tls == SMTP_OFF)
        finding_warning(loader->findings, loader_mark(loader, "smtp.tls"),
                        "smtp.tls: e-mails%s leave unencrypted", user ? " and the password" : "");
}

static void
check_receiver(struct loader *loader, const char *path, const char *name)
{
    const struct config *config = loader->config;

    if (name == NULL)
        return;
    for (size_t i = 0; i < config->alerts.receiver_count; i++)
        if (strcmp(config->alerts.receivers[i].name, name) == 0)
            return;
    (void)finding_error(
        loader->findings,
        loader_mark(loader, loader_find(loader, path) == NULL ? "alerts.receivers" : path),
        "%s is %s, which is not among alerts.receivers: add it, or name another", path, name);
}

static void
check_receivers(struct loader *loader)
{
    const struct config *config = loader->config;
    const struct yaml *receivers = loader_find(loader, "alerts.receivers");

    if (receivers == NULL || receivers->kind == YAML_EMPTY || receivers->count == 0) {
        finding_warning(loader->findings, loader_mark(loader, "alerts"),
                        "alerts.receivers is missing: alerts stand in Postgres and on the status "
                        "page only, nobody is told");
        return;
    }
    if (receivers->kind != YAML_MAP)
        return;
    check_receiver(loader, "alerts.tenant_alerts", config->alerts.tenant_alerts);
    check_receiver(loader, "alerts.engine_alerts", config->alerts.engine_alerts);
}

static void
check_risks(struct loader *loader)
{
    const struct config *config = loader->config;
    const char *listen = config->status.listen;

    if (!config->dedupe.on)
        finding_warning(loader->findings, loader_mark(loader, "dedupe.enabled"),
                        "dedupe.enabled: events that are sent again are counted again");
    if (!config->ingest.halt_on_dead)
        finding_warning(loader->findings, loader_mark(loader, "ingest.halt_on_dead"),
                        "ingest.halt_on_dead: a renamed field can drain a whole topic into the "
                        "dead letters");
    if (config->ingest.keep_dead_payload)
        finding_warning(loader->findings, loader_mark(loader, "ingest.keep_dead_payload"),
                        "ingest.keep_dead_payload: what is personal or secret in such events "
                        "stays in Postgres");
    if (listen != NULL && strncmp(listen, "127.", 4) != 0 && strcmp(listen, "::1") != 0)
        finding_warning(loader->findings, loader_mark(loader, "status.listen"),
                        "status.listen: names of tenants can be read on %s without a password",
                        listen);
}

static void
check_together(struct loader *loader)
{
    check_topics(loader);
    check_time(loader);
    check_mail(loader);
    check_receivers(loader);
    check_risks(loader);
}

/* ---- loading --------------------------------------------------------------------------------- */

static void
read_policy(struct loader *loader)
{
    struct config *config = loader->config;
    struct text body;
    struct err why;

    if (config->policy_path == NULL)
        return;
    if (!file_read(config->policy_path, YAML_SIZE_LIMIT, config->arena, &body, &why)) {
        (void)finding_error(loader->findings, loader_mark(loader, "policy"),
                            "policy: cannot read %s: %s", config->policy_path, why.text);
        return;
    }
    config->policy_body = body.at;
    config->policy_size = body.size;
}

/* What is stored: with the price lists that the policy names. */
static bool
keep_policy(struct config *config, const struct policy *policy)
{
    const struct text body = arena_text(config->arena, policy->body);

    config->policy_body = body.at;
    config->policy_size = body.size;
    (void)SHA256((const unsigned char *)policy->body.at, policy->body.size, config->policy_hash);
    return body.at != NULL;
}

static void
load_tree(struct loader *loader)
{
    static const struct yaml empty = {.kind = YAML_MAP, .at = {1, 1}};

    if (loader->root->kind == YAML_EMPTY)
        loader->root = &empty;
    if (!node_is(loader->findings, loader->root, YAML_MAP, "configuration",
                 "groups of keys, see tripmeter.example.yaml"))
        return;
    keys_load(loader);
    check_together(loader);
}

static struct config *
new_config(const char *path)
{
    struct arena *arena = arena_new(ARENA_SIZE);
    struct config *config = arena == NULL ? NULL : arena_take(arena, sizeof *config);

    if (config == NULL) {
        arena_free(arena);
        return NULL;
    }
    config->arena = arena;
    config->path = arena_text(arena, text_of(path)).at;
    if (config->path == NULL) {
        arena_free(arena);
        return NULL;
    }
    return config;
}

static struct config *
give_up(struct config *config, struct policy *policy)
{
    policy_free(policy);
    config_free(config);
    return NULL;
}

/* Everything that can be found is found in one run: also the policy's errors when there are others. */
static struct config *
parse(const char *path, struct text body, struct policy **policy, struct findings *findings,
      bool policy_needed)
{
    const size_t before = findings->error_count;
    const size_t from = findings->count;
    struct arena *tree = arena_new(TREE_SIZE);
    struct config *config = new_config(path);
    struct loader loader = {.config = config, .findings = findings};
    struct policy *built = NULL;

    *policy = NULL;
    findings_file(findings, path);
    if (tree == NULL || config == NULL)
        (void)finding_error(findings, (struct mark){1, 1}, "out of memory");
    else
        loader.root = yaml_parse(body, tree, findings);
    if (loader.root != NULL)
        load_tree(&loader);
    const bool sound = loader.root != NULL && findings->error_count == before;

    if (loader.root != NULL && loader.root->kind == YAML_MAP)
        read_policy(&loader);
    arena_free(tree);
    findings_sort(findings, from);
    if (config != NULL && config->policy_body != NULL)
        built =
            policy_load(config->policy_path, config->policy_body, config->policy_size, findings);
    if (sound && !policy_needed && (findings->error_count > before || built == NULL)) {
        policy_free(built);
        return config;
    }
    if (findings->error_count > before || built == NULL)
        return give_up(config, built);
    if (!keep_policy(config, built)) {
        (void)finding_error(findings, (struct mark){1, 1}, "policy: it is too large");
        return give_up(config, built);
    }
    *policy = built;
    return config;
}

struct config *
config_parse(const char *path, struct text body, struct policy **policy, struct findings *findings)
{
    return parse(path, body, policy, findings, true);
}

static struct config *
load(const char *path, struct policy **policy, struct findings *findings, bool policy_needed)
{
    struct arena *arena = arena_new(2 * YAML_SIZE_LIMIT);
    struct config *config = NULL;
    struct text body;
    struct err why = {0};

    *policy = NULL;
    if (arena == NULL || !file_read(path, YAML_SIZE_LIMIT, arena, &body, &why)) {
        findings_file(findings, path);
        (void)finding_error(findings, (struct mark){1, 1}, "cannot be read: %s",
                            arena == NULL ? "out of memory" : why.text);
    } else
        config = parse(path, body, policy, findings, policy_needed);
    arena_free(arena);
    return config;
}

struct config *
config_load(const char *path, struct policy **policy, struct findings *findings)
{
    return load(path, policy, findings, true);
}

struct config *
config_load_alone(const char *path, struct policy **policy, struct findings *findings)
{
    return load(path, policy, findings, false);
}

void
config_free(struct config *config)
{
    if (config != NULL)
        arena_free(config->arena);
}
