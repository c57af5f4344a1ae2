/* The small pieces of the status page: what turns a member of the document into safe HTML. */
#ifndef SINKS_PAGE_TEXT_H
#define SINKS_PAGE_TEXT_H

#include "sinks/writer.h"

#include <jansson.h>

/* A member's text, NULL when it is none; a member's number, 0 when it is none. */
const char *page_member(const json_t *object, const char *name);
int64_t page_number(const json_t *object, const char *name);
bool page_is(const json_t *object, const char *name, const char *value);

/* A text from outside; nothing when it is NULL. */
void page_escaped(struct writer *out, const char *text);
/* The same for a name, which may be written in any direction. */
void page_name(struct writer *out, const char *name);

/* The same for sentences: what stands in `backticks` is a command. */
void page_prose(struct writer *out, const char *text);

/* Decimal text "1234567.508" for people: "1,234,567.50"; cents are cut only from 1.00 on. */
void page_amount(struct writer *out, const char *amount);
void page_count(struct writer *out, int64_t count);
/* A span in two units at most: "3 h 5 min". */
void page_span(struct writer *out, int64_t ms);
/* "2 Mar 14:05", UTC, the year only when it is another than now's; and below it how far that is from
 * the document's now. Nothing for NULL. */
void page_time(struct writer *out, const json_t *document, const char *text);

/* tone: good, info, warn or bad. */
void page_pill(struct writer *out, const char *tone, const char *text);

/* The cells of one row. */
typedef void page_row(struct writer *out, const json_t *document, const json_t *row);
/* A table of an array's rows; columns end with NULL. */
void page_table(struct writer *out, const char *const *columns, page_row *put_row,
                const json_t *document, const json_t *rows);
/* `label` repeats the column's name where a phone shows the row as a card; class may be "". */
void page_cell(struct writer *out, const char *label, const char *class);
void page_cell_end(struct writer *out);
/* A cell that holds but a time. */
void page_time_cell(struct writer *out, const char *label, const json_t *document,
                    const char *text);

/* The sections of the page (page_tables.c). */
void page_breakers(struct writer *out, const json_t *document);
/* In page_anomaly.c. */
void page_anomalies(struct writer *out, const json_t *document);
void page_series(struct writer *out, const json_t *document);
void page_restrictions(struct writer *out, const json_t *document);
void page_alerts(struct writer *out, const json_t *document);
void page_deliveries(struct writer *out, const json_t *document);
void page_partitions(struct writer *out, const json_t *document);
void page_fleet(struct writer *out, const json_t *document);

#endif
