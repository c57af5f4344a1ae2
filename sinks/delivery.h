/*
 * One attempt to deliver one message: a claimed outbox row and the curl handle that carries it.
 *
 * Webhook and e-mail each prepare a transfer and, when it is over, say what it came to.  Whoever
 * runs the handle in between (one multi handle in the notifier, curl_easy_perform in tests) does
 * not know which kind it is.
 */
#ifndef SINKS_DELIVERY_H
#define SINKS_DELIVERY_H

#include "config/config.h"
#include "sinks/retry.h"
#include "sinks/writer.h"

#include <curl/curl.h>
#include <stdio.h>

#define MESSAGE_ID_SIZE 30 /* "tm_", 26 characters of base32, NUL */

/* A claimed row; texts live in the arena it was read into. */
struct delivery {
    char id[MESSAGE_ID_SIZE];
    char thread[MESSAGE_ID_SIZE]; /* "" when the message is the first of its episode */
    struct text endpoint;
    int64_t token;
    int attempts; /* this one included */
    int refusals;
    bool critical;
    int64_t created_ms;
    struct text subject; /* e-mail only, as is html */
    struct text body;
    struct text html;
    struct text group; /* for the log */
};

struct transfer {
    CURL *easy;
    struct curl_slist *headers;
    struct curl_slist *recipients;
    struct writer upload; /* what goes over the wire, beginning at `sent` */
    size_t sent;
    size_t received;    /* bytes of the response read */
    char response[160]; /* the first of them, for the error text */
    char error[CURL_ERROR_SIZE];
    char refused[64]; /* address that may not be connected to; "" when none was met */
    size_t removed;   /* e-mail: characters that may not be in a header */
    bool allow_private;
    char host[256]; /* for error texts */
};

/* Gives back everything; the transfer may be prepared anew. */
void transfer_free(struct transfer *transfer);

/* What both kinds have in common: no signals, no redirects, no proxy, protocols, limits. */
bool transfer_start(struct transfer *transfer, const char *url, const char *protocols,
                    int64_t timeout_ms, struct err *why);

/* "what: detail" as one plain line; without detail when that is "". */
void attempt_say(struct attempt *out, enum verdict verdict, const char *what, const char *detail);

#endif
