/*
 * Webhooks: a signed POST after the Standard Webhooks specification.
 *
 *   webhook-id         the message's id, the same at every attempt
 *   webhook-timestamp  of this attempt, seconds since 1970
 *   webhook-signature  v1,<base64 of HMAC-SHA256(key, "id.timestamp.body")>, one for each key while
 *                      keys rotate, separated by a space
 *   Idempotency-Key    the id once more
 *
 * The key is the base64 behind "whsec_"; a secret without that prefix is taken byte for byte.
 *
 * https only, unless alerts.allow_http.  Addresses that are not public (loopback, private,
 * link-local, the metadata services of clouds) are refused where the socket is opened, after name
 * resolution, so that no name can lead there, unless alerts.allow_private.  Redirects are never
 * followed.  20 seconds in all; at most 64 KiB of the response are read.
 */
#ifndef SINKS_WEBHOOK_H
#define SINKS_WEBHOOK_H

#include "sinks/delivery.h"

#include <sys/socket.h>

#define WEBHOOK_SIGNATURE_SIZE 48 /* "v1,", 44 characters of base64, NUL */
#define WEBHOOK_TIMEOUT_MS     20000

/* INPUT error when the secret is no base64 or its key is empty or longer than 512 bytes. */
bool webhook_sign(const char *secret, const char *id, int64_t timestamp_s, struct text body,
                  char out[WEBHOOK_SIGNATURE_SIZE], struct err *why);

/* Loopback, private, link-local, multicast, unspecified, reserved, or a metadata service; also
 * where such an IPv4 address is wrapped in an IPv6 one. True for families that are not IP. */
bool webhook_address_private(const struct sockaddr *address);

/* now_ms: wall clock. The error says what an operator has to change. */
bool webhook_prepare(struct transfer *transfer, const struct config *config,
                     const struct endpoint *endpoint, const struct delivery *delivery,
                     int64_t now_ms, struct err *why);
void webhook_verdict(const struct transfer *transfer, CURLcode code, struct attempt *out);

#endif
