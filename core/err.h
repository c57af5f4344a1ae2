/*
 * What went wrong, and what the caller should do about it.
 *
 * A function that can fail returns bool and takes `struct err *why` last.  The class says what
 * to do; the text is one line for the operator and names the thing and, where there is one, the
 * remedy.  Handle an error or hand it up, never both; it is logged once, at the top.
 */
#ifndef CORE_ERR_H
#define CORE_ERR_H

#include <stdbool.h>

enum err_class {
    ERR_NONE,
    ERR_INPUT, /* the bytes are wrong: this one event becomes a dead letter */
    ERR_RETRY, /* the same call may succeed later */
    ERR_ABORT, /* drop what was not settled and read it again */
    ERR_FATAL, /* waiting cannot help: stop the process and say why */
};

#define ERR_TEXT_SIZE 512

struct err {
    enum err_class class;
    char text[ERR_TEXT_SIZE]; /* one line, no newline, NUL-terminated */
};

/* Sets the error and returns false, so that `return err_set(...)` reads well.  A text that is too
 * long is cut; control characters are replaced by a space (they would break the log line). */
bool err_set(struct err *why, enum err_class class, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the text, to name the outer thing; returns false. */
bool err_wrap(struct err *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
