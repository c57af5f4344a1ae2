/* alerts.receivers: who is told, by e-mail and webhook. */
#include "config/loader.h"
#include "config/value.h"

#include <stdio.h>

enum { WHAT_ROOM = 128 };

/* What reading one receiver needs; `what` names it: "alerts.receivers.billing". */
struct reading {
    struct loader *loader;
    struct receiver *receiver;
    char what[WHAT_ROOM];
};

static const char *const receiver_members[] = {"email", "webhooks", NULL};
static const char *const webhook_members[] = {
    "url", "url_file", "secret", "secret_file", "old_secret", "old_secret_file", NULL};

static struct endpoint *
add_endpoint(struct reading *reading, struct mark at, const char *kind, size_t index)
{
    struct receiver *receiver = reading->receiver;
    struct endpoint *endpoint = &receiver->endpoints[receiver->endpoint_count];
    char name[WHAT_ROOM];

    if (receiver->endpoint_count == ENDPOINT_LIMIT) {
        (void)finding_error(reading->loader->findings, at,
                            "%s: more than %d addresses and webhooks in one receiver",
                            reading->what, ENDPOINT_LIMIT);
        return NULL;
    }
    (void)snprintf(name, sizeof name, "%s/%s/%zu", receiver->name, kind, index);
    endpoint->name = arena_text(reading->loader->config->arena, text_of(name)).at;
    if (endpoint->name == NULL)
        (void)finding_error(reading->loader->findings, at, "out of memory");
    return endpoint->name == NULL ? NULL : endpoint;
}

static bool
is_new_target(struct reading *reading, struct mark at, const char *target)
{
    for (size_t i = 0; i < reading->receiver->endpoint_count; i++)
        if (strcmp(reading->receiver->endpoints[i].target, target) == 0)
            return finding_error(reading->loader->findings, at,
                                 "%s: this stands in the receiver twice: it would be told twice",
                                 reading->what);
    return true;
}

/* ---- e-mail ---------------------------------------------------------------------------------- */

static void
read_address(struct reading *reading, const struct yaml *item, size_t index)
{
    struct endpoint *endpoint = add_endpoint(reading, item->at, "email", index);

    if (endpoint == NULL ||
        !loader_string(reading->loader, item, reading->what, value_check_email,
                       &endpoint->target) ||
        !is_new_target(reading, item->at, endpoint->target))
        return;
    endpoint->kind = ENDPOINT_EMAIL;
    reading->receiver->endpoint_count++;
}

static void
read_addresses(struct reading *reading, const struct yaml *list)
{
    size_t index = 0;

    if (!node_is(reading->loader->findings, list, YAML_LIST, reading->what, "[ops@example.com]"))
        return;
    if (list->count > 0 && reading->loader->config->smtp.host == NULL)
        (void)finding_error(reading->loader->findings, list->key_at,
                            "%s: e-mail needs smtp.host and smtp.from", reading->what);
    for (const struct yaml *item = list->first; item != NULL; item = item->next)
        read_address(reading, item, index++);
}

/* ---- webhooks -------------------------------------------------------------------------------- */

/* A member that can be given as <name>_file as well; *out stays NULL when neither is there. False
 * after an error. */
static bool
read_secret(struct reading *reading, const struct yaml *map, const char *name, text_check *check,
            const char **out)
{
    char file_name[48];
    char what[WHAT_ROOM + 64];
    const struct yaml *node = yaml_member(map, text_of(name));
    const struct yaml *file;

    (void)snprintf(file_name, sizeof file_name, "%s_file", name);
    file = yaml_member(map, text_of(file_name));
    (void)snprintf(what, sizeof what, "%s: %s", reading->what, file != NULL ? file_name : name);
    if (node != NULL && file != NULL)
        return finding_error(reading->loader->findings, file->key_at,
                             "%s: %s and %s are both given: keep one", reading->what, name,
                             file_name);
    if (file != NULL)
        return loader_secret_file(reading->loader, file, what, check, out);
    return node == NULL || loader_string(reading->loader, node, what, check, out);
}

/* Names that are this machine's for certain; addresses that a name leads to are looked at when the
 * message is sent. */
static bool
is_loopback(const char *url)
{
    static const char *const hosts[] = {"localhost", "127.", "[::1]"};
    const char *host = strstr(url, "://") + 3;

    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        if (strncmp(host, hosts[i], strlen(hosts[i])) == 0)
            return true;
    return false;
}

static bool
url_is_allowed(struct reading *reading, struct mark at, const char *url)
{
    const struct config *config = reading->loader->config;
    bool good = true;

    if (!config->alerts.allow_http && strncmp(url, "http://", 7) == 0)
        good = finding_error(reading->loader->findings, at,
                             "%s: http:// is not encrypted; use https://, or allow it with "
                             "alerts.allow_http: true",
                             reading->what);
    if (!config->alerts.allow_private && is_loopback(url))
        good = finding_error(reading->loader->findings, at,
                             "%s: the webhook is on this machine; allow it with "
                             "alerts.allow_private: true",
                             reading->what);
    return good;
}

static void
read_webhook(struct reading *reading, const struct yaml *map, size_t index)
{
    struct findings *findings = reading->loader->findings;
    struct endpoint *endpoint;
    bool good;

    if (!node_is(findings, map, YAML_MAP, reading->what, "{url: https://..., secret: whsec_...}"))
        return;
    endpoint = add_endpoint(reading, map->at, "webhook", index);
    if (endpoint == NULL)
        return;
    good = node_members(findings, map, reading->what, webhook_members);
    good = read_secret(reading, map, "url", value_check_url, &endpoint->target) && good;
    if (good && endpoint->target == NULL)
        good = finding_error(findings, map->at, "%s: the webhook has no url", reading->what);
    good = read_secret(reading, map, "secret", value_check_signing_key, &endpoint->secret) && good;
    good =
        read_secret(reading, map, "old_secret", value_check_signing_key, &endpoint->old_secret) &&
        good;
    if (good && endpoint->secret == NULL && endpoint->old_secret != NULL)
        good = finding_error(findings, map->at, "%s: old_secret is of use only beside secret",
                             reading->what);
    if (!good || !url_is_allowed(reading, map->at, endpoint->target) ||
        !is_new_target(reading, map->at, endpoint->target))
        return;
    if (endpoint->secret == NULL)
        finding_warning(findings, map->at,
                        "%s: the webhook has no secret: its receiver cannot tell our messages "
                        "from forged ones",
                        reading->what);
    endpoint->kind = ENDPOINT_WEBHOOK;
    reading->receiver->endpoint_count++;
}

static void
read_webhooks(struct reading *reading, const struct yaml *list)
{
    size_t index = 0;

    if (!node_is(reading->loader->findings, list, YAML_LIST, reading->what,
                 "[{url: https://..., secret: whsec_...}]"))
        return;
    for (const struct yaml *item = list->first; item != NULL; item = item->next)
        read_webhook(reading, item, index++);
}

/* ---- receivers ------------------------------------------------------------------------------- */

static void
read_members(struct reading *reading, const struct yaml *node)
{
    struct findings *findings = reading->loader->findings;
    const struct yaml *email = yaml_member(node, TEXT("email"));
    const struct yaml *webhooks = yaml_member(node, TEXT("webhooks"));
    const size_t size = strlen(reading->what);

    if (!node_members(findings, node, reading->what, receiver_members))
        return;
    if ((email == NULL || (email->kind == YAML_LIST && email->count == 0)) &&
        (webhooks == NULL || (webhooks->kind == YAML_LIST && webhooks->count == 0)))
        (void)finding_error(findings, node->key_at,
                            "%s: has neither email nor webhooks: nobody would be told",
                            reading->what);
    if (email != NULL) {
        (void)snprintf(reading->what + size, sizeof reading->what - size, ".email");
        read_addresses(reading, email);
    }
    if (webhooks != NULL) {
        (void)snprintf(reading->what + size, sizeof reading->what - size, ".webhooks");
        read_webhooks(reading, webhooks);
    }
}

static void
read_receiver(struct loader *loader, const struct yaml *node)
{
    struct config *config = loader->config;
    struct reading reading = {.loader = loader};
    const char *must = value_check_label(node->key);

    if (must != NULL) {
        (void)finding_error(loader->findings, node->key_at,
                            "alerts.receivers: the name of a receiver %s", must);
        return;
    }
    (void)snprintf(reading.what, sizeof reading.what, "alerts.receivers.%s", node->key.at);
    if (!node_is(loader->findings, node, YAML_MAP, reading.what, "{email: [ops@example.com]}"))
        return;
    if (config->alerts.receiver_count == RECEIVER_LIMIT) {
        (void)finding_error(loader->findings, node->key_at,
                            "alerts.receivers: more than %d receivers", RECEIVER_LIMIT);
        return;
    }
    reading.receiver = &config->alerts.receivers[config->alerts.receiver_count++];
    reading.receiver->name = arena_text(config->arena, node->key).at;
    reading.receiver->endpoints =
        arena_take(config->arena, ENDPOINT_LIMIT * sizeof *reading.receiver->endpoints);
    if (reading.receiver->name == NULL || reading.receiver->endpoints == NULL)
        (void)finding_error(loader->findings, node->key_at, "out of memory");
    else
        read_members(&reading, node);
}

bool
receivers_read(struct loader *loader, const struct yaml *node)
{
    const size_t before = loader->findings->error_count;

    if (node->kind == YAML_EMPTY)
        return true;
    if (!node_is(loader->findings, node, YAML_MAP, "alerts.receivers",
                 "{billing: {email: [ops@example.com]}}"))
        return false;
    for (const struct yaml *member = node->first; member != NULL; member = member->next)
        read_receiver(loader, member);
    return loader->findings->error_count == before;
}
