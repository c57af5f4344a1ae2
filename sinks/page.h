/*
 * /status: the status document as a page for people.
 *
 * Plain HTML with its style inside, no scripts, nothing fetched, no pictures but small drawn ones;
 * readable on a phone, dark where the reader's system is.  Every text is escaped, and names stand in <bdi>, so that one
 * written from right to left cannot turn its surroundings.
 */
#ifndef SINKS_PAGE_H
#define SINKS_PAGE_H

#include "sinks/writer.h"

#include <jansson.h>

void page_write(struct writer *out, const json_t *document);

#define PAGE_STYLE_PARTS 3 /* a string literal has at most 4,095 bytes */
extern const char *const page_style[PAGE_STYLE_PARTS];

#endif
