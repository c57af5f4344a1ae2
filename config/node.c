#include "config/node.h"

#include "config/value.h"

bool
node_is(struct findings *findings, const struct yaml *node, enum yaml_kind kind, const char *what,
        const char *example)
{
    if (node->kind == kind)
        return true;
    if (node->kind == YAML_BAD)
        return false;
    if (node->kind == YAML_EMPTY)
        return finding_error(findings, node->at, "%s: has no value; write it like %s", what,
                             example);
    return finding_error(findings, node->at, "%s: must be written like %s", what, example);
}

bool
node_text(struct findings *findings, const struct yaml *node, const char *what, struct text *out)
{
    *out = (struct text){NULL, 0};
    if (node->kind == YAML_BAD)
        return false;
    if (node->kind == YAML_EMPTY || (node->kind == YAML_TEXT && node->text.size == 0))
        return finding_error(findings, node->at, "%s: has no value; give one, or remove the line",
                             what);
    if (node->kind != YAML_TEXT)
        return finding_error(findings, node->at, "%s: must be one value, not a %s", what,
                             node->kind == YAML_LIST ? "list" : "map");
    *out = node->text;
    return true;
}

bool
node_choice(struct findings *findings, const struct yaml *node, const char *what,
            const char *choices, int64_t *out)
{
    struct text text;
    struct text nearest;

    if (!node_text(findings, node, what, &text))
        return false;
    if (value_choice(text, choices, out))
        return true;
    nearest = value_nearest_choice(text, choices);
    if (nearest.at != NULL)
        return finding_error(findings, node->at, "%s: %s is none of %s; did you mean %.*s?", what,
                             text.at, choices, (int)nearest.size, nearest.at);
    return finding_error(findings, node->at, "%s: %s is none of %s", what, text.at, choices);
}

static void
unknown_member(struct findings *findings, const struct yaml *member, const char *what,
               const char *const *names)
{
    unsigned best = value_typo_limit(member->key.size) + 1;
    const char *nearest = NULL;

    for (size_t i = 0; names[i] != NULL; i++) {
        const unsigned distance = text_distance(member->key, text_of(names[i]), best);

        if (distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    if (nearest != NULL)
        (void)finding_error(findings, member->key_at, "%s: unknown key %s; did you mean `%s`?",
                            what, member->key.at, nearest);
    else
        (void)finding_error(findings, member->key_at, "%s: unknown key %s", what, member->key.at);
}

bool
node_members(struct findings *findings, const struct yaml *map, const char *what,
             const char *const *names)
{
    bool good = true;

    for (const struct yaml *member = map->first; member != NULL; member = member->next) {
        bool known = false;

        for (size_t i = 0; !known && names[i] != NULL; i++)
            known = text_eq(member->key, text_of(names[i]));
        if (!known)
            unknown_member(findings, member, what, names);
        good = good && known;
    }
    return good;
}
