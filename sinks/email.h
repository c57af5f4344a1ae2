/*
 * E-mail through the operator's mail server (libcurl's SMTP).
 *
 * One recipient a transaction: with several, one refused address would fail all.  STARTTLS is
 * demanded unless smtp.tls is off; there is no silent way back to clear text.  The server's reply
 * code decides: 4xx is tried again, 5xx never.  A connection lost after the end of the data was
 * sent is ambiguous: the message goes out once more under the same Message-ID.
 *
 * Every value of a header passes plain_line: no header can be injected.
 */
#ifndef SINKS_EMAIL_H
#define SINKS_EMAIL_H

#include "sinks/delivery.h"

#define EMAIL_TIMEOUT_MS 45000

/* The whole message, headers and body, lines ending CR LF; deterministic, so that every attempt
 * sends the same bytes. *removed: characters that may not be in a header. INPUT error when an address cannot be used. */
bool email_write(struct writer *out, const char *from, const char *to,
                 const struct delivery *delivery, size_t *removed, struct err *why);

bool email_prepare(struct transfer *transfer, const struct config *config,
                   const struct endpoint *endpoint, const struct delivery *delivery,
                   struct err *why);
void email_verdict(const struct transfer *transfer, CURLcode code, struct attempt *out);

#endif
