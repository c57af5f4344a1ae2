/*
 * The members of a JSON object that the engine knows, found in one pass over it.
 *
 * object_read sorts an object's values into the slots of the known members and refuses a member that
 * is named twice, known or not, here or in anything below that the engine does not look into.
 * null and the empty text are absent: it is what gateways write for what they do not have.
 *
 * The object_... readers turn one slot into a value.  They answer false after having said in
 * object->dead what is wrong; an absent member is true and leaves *out alone.
 */
#ifndef INGEST_MEMBER_H
#define INGEST_MEMBER_H

#include "core/event.h"
#include "ingest/json.h"

#define COUNT_LIMIT ((INT64_C(1) << 53) - 1)

/* What all readers of one value share. */
struct reading {
    struct text *names; /* room to sort the member names of one object in */
    size_t name_limit;  /* at least the members that a value of the greatest size may have */
};

#define MEMBER_LIMIT 40

/* The members that the engine knows of one kind of object; its slots are their indices. */
struct members {
    const char *object; /* what stands before a member's name in messages: "data.usage." */
    const char *const *names;
    uint8_t slot_of[1 + VOCABULARY_LIMIT]; /* by word: its slot + 1; 0: not known here */
};
/* Adds the names to the vocabulary. */
void members_init(struct members *members, const char *object, const char *const *names,
                  size_t count, struct vocabulary *words);

struct object {
    const struct members *known;
    struct dead *dead;
    uint64_t given;                               /* bit i: value[i] is set */
    const struct json_value *value[MEMBER_LIMIT]; /* neither null nor the empty text */
};

static inline bool
object_has(const struct object *object, int slot)
{
    return (object->given >> slot & 1) != 0;
}

/* Sets the reason and the detail; returns false. */
bool refuse(struct dead *dead, enum dead_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same about one member: "data.usage.images: what". */
bool object_refuse(const struct object *object, int slot, enum dead_reason reason,
                   const char *what);

/* value is of type JSON_OBJECT. */
bool object_read(struct object *object, const struct members *known, const struct json_value *value,
                 const struct reading *reading, struct dead *dead);
/* No object in it, at any depth, names a member twice. */
bool value_is_unique(const struct json_value *value, const struct reading *reading,
                     struct dead *dead);

/* missing_member for the first of `needed` (bits) that is absent. */
bool object_needs(const struct object *object, uint64_t needed);
/* One JSON object inside the other; it must be there. */
bool object_inner(const struct object *object, int slot, const struct members *known,
                  const struct reading *reading, struct object *inner);

bool object_text(const struct object *object, int slot, size_t limit, struct text *out);
/* A usable text on sight; others may be usable, too. */
static inline bool
text_is_plain(const struct json_value *value, size_t limit)
{
    return value->type == JSON_TEXT && value->plain && value->is.text.size <= limit;
}
/* The rule for a text that is used, also apart from any object. */
bool text_is_usable(struct text text, size_t limit, enum dead_reason *reason, const char **what);
bool object_count(const struct object *object, int slot, int64_t *out);
/* Whole numbers low..high. */
bool object_small(const struct object *object, int slot, int32_t low, int32_t high, int32_t *out);
/* Sets or clears the flag. */
bool object_flag(const struct object *object, int slot, unsigned flag, unsigned *flags);
bool object_money(const struct object *object, int slot, struct money *out);
bool object_time(const struct object *object, int slot, int64_t *out);

/* A count as JSON may write it (44, 44.0); false: *reason and *what say why. */
bool count_of(const struct json_value *value, int64_t *out, enum dead_reason *reason,
              const char **what);

#define QUOTED_LIMIT 40 /* bytes of a value that may appear in a message */
#define QUOTED_SIZE  (4 * QUOTED_LIMIT + 4)
/* The first bytes of a text with everything but printable ASCII escaped. Returns out. */
const char *text_quoted(struct text text, char out[QUOTED_SIZE]);

#endif
