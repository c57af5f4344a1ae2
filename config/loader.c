#include "config/loader.h"

#include "config/file.h"

#include <stdlib.h>

enum { SECRET_SIZE_LIMIT = 64 * 1024, NAME_ROOM = 128 };

const struct yaml *
loader_find(const struct loader *loader, const char *path)
{
    const char *dot = strchr(path, '.');
    const struct yaml *group;

    if (dot == NULL)
        return yaml_member(loader->root, text_of(path));
    group = yaml_member(loader->root, (struct text){path, (size_t)(dot - path)});
    return yaml_member(group, text_of(dot + 1));
}

struct mark
loader_mark(const struct loader *loader, const char *path)
{
    const struct yaml *node = loader_find(loader, path);

    if (node == NULL)
        node = yaml_member(loader->root, (struct text){path, strcspn(path, ".")});
    return node == NULL ? (struct mark){1, 1} : node->key_at;
}

/* ---- texts ----------------------------------------------------------------------------------- */

static bool
from_environment(struct loader *loader, const struct yaml *node, const char *what,
                 struct text *text)
{
    const size_t size = text->size - strlen("${}");
    char name[NAME_ROOM];
    const char *value;

    if (size >= sizeof name)
        return finding_error(loader->findings, node->at, "%s: the name in ${...} is too long",
                             what);
    (void)text_copy(name, sizeof name, (struct text){text->at + 2, size});
    /* Nothing in this process changes the environment. */
    value = getenv(name); /* NOLINT(concurrency-mt-unsafe) */
    if (value == NULL || value[0] == '\0')
        return finding_error(loader->findings, node->at,
                             "%s: the environment variable %s is not set", what, name);
    if (!text_is_clean(text_of(value)))
        return finding_error(loader->findings, node->at,
                             "%s: the environment variable %s has a line break, a control "
                             "character or bytes that are not UTF-8",
                             what, name);
    *text = arena_text(loader->config->arena, text_of(value));
    return text->at != NULL || finding_error(loader->findings, node->at, "out of memory");
}

bool
loader_text(struct loader *loader, const struct yaml *node, const char *what, struct text *out)
{
    const char *start;

    if (!node_text(loader->findings, node, what, out))
        return false;
    start = strstr(out->at, "${");
    if (start == NULL) /* the tree goes when the configuration is read */
        return arena_keep(loader->config->arena, out) ||
               finding_error(loader->findings, node->at, "out of memory");
    if (start == out->at && strchr(start, '}') == out->at + out->size - 1 && out->size > 3)
        return from_environment(loader, node, what, out);
    return finding_error(loader->findings, node->at,
                         "%s: ${NAME} is replaced only where it is the whole value", what);
}

static bool
checked(struct loader *loader, const struct yaml *node, const char *what, text_check *check,
        struct text text)
{
    const char *must = check == NULL ? NULL : check(text);

    return must == NULL || finding_error(loader->findings, node->at, "%s: %s", what, must);
}

bool
loader_string(struct loader *loader, const struct yaml *node, const char *what, text_check *check,
              const char **out)
{
    struct text text;

    if (!loader_text(loader, node, what, &text) || !checked(loader, node, what, check, text))
        return false;
    *out = text.at;
    return true;
}

/* Without the line break an editor leaves at the end. */
static struct text
first_line(struct text text)
{
    if (text.size > 0 && text.at[text.size - 1] == '\n')
        text.size--;
    if (text.size > 0 && text.at[text.size - 1] == '\r')
        text.size--;
    return text;
}

bool
loader_secret_file(struct loader *loader, const struct yaml *node, const char *what,
                   text_check *check, const char **out)
{
    struct arena *arena = loader->config->arena;
    struct text text;
    struct err why;
    const char *path;

    if (!loader_text(loader, node, what, &text))
        return false;
    path = file_beside(loader->config->path, text, arena);
    if (path == NULL)
        return finding_error(loader->findings, node->at, "out of memory");
    if (!file_read(path, SECRET_SIZE_LIMIT, arena, &text, &why))
        return finding_error(loader->findings, node->at, "%s: cannot read %s: %s", what, path,
                             why.text);
    text = first_line(text);
    if (text.size == 0 || !text_is_clean(text))
        return finding_error(loader->findings, node->at,
                             "%s: %s must hold the secret in one line of UTF-8", what, path);
    text = arena_text(arena, text); /* ends where the line does */
    if (text.at == NULL)
        return finding_error(loader->findings, node->at, "out of memory");
    if (!checked(loader, node, what, check, text))
        return false;
    *out = text.at;
    return true;
}
