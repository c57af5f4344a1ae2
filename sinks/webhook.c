#include "sinks/webhook.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unistd.h>

#define KEY_LIMIT      512
#define RESPONSE_LIMIT ((size_t)64 * 1024)
#define HEADER_SIZE    256

static const char secret_prefix[] = "whsec_";

/* ---- signing --------------------------------------------------------------------------------- */

/* The key's size, or 0. */
static size_t
decode_key(struct text secret, unsigned char key[KEY_LIMIT])
{
    const size_t prefix = sizeof secret_prefix - 1;
    unsigned char padded[KEY_LIMIT + 4];
    size_t size = secret.size;
    size_t pad = 0;

    if (size > KEY_LIMIT)
        return 0;
    if (size < prefix || memcmp(secret.at, secret_prefix, prefix) != 0) {
        memcpy(key, secret.at, size);
        return size;
    }
    size -= prefix;
    /* EVP_DecodeBlock wants whole groups of four and counts the padding as bytes. */
    while (size > 0 && secret.at[prefix + size - 1] == '=')
        size--;
    if (size == 0 || size % 4 == 1)
        return 0;
    memcpy(padded, secret.at + prefix, size);
    for (; (size + pad) % 4 != 0; pad++)
        padded[size + pad] = '=';
    const int decoded = EVP_DecodeBlock(key, padded, (int)(size + pad));

    OPENSSL_cleanse(padded, sizeof padded);
    return decoded <= (int)pad ? 0 : (size_t)decoded - pad;
}

bool
webhook_sign(const char *secret, const char *id, int64_t timestamp_s, struct text body,
             char out[WEBHOOK_SIGNATURE_SIZE], struct err *why)
{
    unsigned char key[KEY_LIMIT];
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_size = 0;
    struct writer content = writer_new(body.size + HEADER_SIZE);
    const size_t key_size = decode_key(text_of(secret), key);

    if (key_size == 0)
        return err_set(why, ERR_INPUT,
                       "the webhook's secret is no key: whsec_ and base64 of 1 to 384 bytes");
    writer_format(&content, "%s.%" PRId64 ".", id, timestamp_s);
    writer_text(&content, body);
    const bool good =
        !content.full && HMAC(EVP_sha256(), key, (int)key_size, (const unsigned char *)content.at,
                              content.size, mac, &mac_size) != NULL;
    OPENSSL_cleanse(key, sizeof key);
    writer_free(&content);
    if (!good)
        return err_set(why, ERR_RETRY, "the webhook could not be signed: out of memory");
    (void)text_copy(out, WEBHOOK_SIGNATURE_SIZE, TEXT("v1,"));
    (void)EVP_EncodeBlock((unsigned char *)out + 3, mac, (int)mac_size);
    return true;
}

/* ---- addresses ------------------------------------------------------------------------------- */

struct block {
    uint32_t address; /* host byte order */
    int bits;
};

/* IANA IPv4 special-purpose registry, and the metadata services that have a public address. */
static const struct block private_blocks[] = {
    {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16},
    {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24}, {0xc0586300, 24}, {0xc0a80000, 16},
    {0xc6120000, 15}, {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 3},  {0xa83f8110, 32},
};

static bool
v4_private(uint32_t address)
{
    for (size_t i = 0; i < sizeof private_blocks / sizeof private_blocks[0]; i++)
        if ((address ^ private_blocks[i].address) >> (32 - private_blocks[i].bits) == 0)
            return true;
    return false;
}

static uint32_t
v4_at(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool
v6_private(const unsigned char at[16])
{
    static const unsigned char zero[12] = {0};
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const unsigned char translated[12] = {0x00, 0x64, 0xff, 0x9b};

    if (memcmp(at, mapped, 12) == 0 || memcmp(at, translated, 12) == 0 || memcmp(at, zero, 12) == 0)
        return v4_private(v4_at(at + 12)); /* ::, ::1 too: 0.0.0.0/8 */
    if (at[0] == 0x20 && at[1] == 0x02)    /* 6to4 */
        return v4_private(v4_at(at + 2));
    /* Everything that is not global unicast 2000::/3, of which documentation and Teredo too. */
    return (at[0] & 0xe0) != 0x20 ||
           (at[0] == 0x20 && at[1] == 0x01 && (at[2] < 0x02 || (at[2] == 0x0d && at[3] == 0xb8)));
}

bool
webhook_address_private(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;

        memcpy(&v4, address, sizeof v4);
        return v4_private(ntohl(v4.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;

        memcpy(&v6, address, sizeof v6);
        return v6_private(v6.sin6_addr.s6_addr);
    }
    return true;
}

static void
name_address(const struct sockaddr *address, char *out, size_t room)
{
    char text[INET6_ADDRSTRLEN] = "an address that is not IP";
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof v4);
        (void)inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    } else if (address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof v6);
        (void)inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    }
    (void)text_copy(out, room, text_of(text));
}

static curl_socket_t
open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = context;

    (void)purpose;
    if (!transfer->allow_private && webhook_address_private(&address->addr)) {
        name_address(&address->addr, transfer->refused, sizeof transfer->refused);
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- the request ----------------------------------------------------------------------------- */

static size_t
take_response(char *bytes, size_t one, size_t size, void *context)
{
    struct transfer *transfer = context;
    const size_t keep = sizeof transfer->response - 1;

    (void)one;
    if (transfer->received < keep) {
        const size_t room = keep - transfer->received;

        memcpy(transfer->response + transfer->received, bytes, size < room ? size : room);
    }
    transfer->received += size;
    return transfer->received <= RESPONSE_LIMIT ? size : 0; /* 0 ends the transfer */
}

static bool
add_header(struct transfer *transfer, const char *name, const char *value)
{
    char line[HEADER_SIZE];
    const int size = snprintf(line, sizeof line, "%s: %s", name, value);

    if (size < 0 || (size_t)size >= sizeof line)
        return false;
    struct curl_slist *longer = curl_slist_append(transfer->headers, line);

    if (longer != NULL)
        transfer->headers = longer;
    return longer != NULL;
}

static bool
add_signatures(struct transfer *transfer, const struct endpoint *endpoint, const char *id,
               int64_t timestamp_s, struct err *why)
{
    const struct text body = {transfer->upload.at, transfer->upload.size};
    char both[2 * WEBHOOK_SIGNATURE_SIZE];
    char second[WEBHOOK_SIGNATURE_SIZE];

    if (endpoint->secret == NULL)
        return true;
    if (!webhook_sign(endpoint->secret, id, timestamp_s, body, both, why))
        return false;
    if (endpoint->old_secret != NULL) {
        if (!webhook_sign(endpoint->old_secret, id, timestamp_s, body, second, why))
            return false;
        (void)snprintf(both + strlen(both), sizeof both - strlen(both), " %s", second);
    }
    return add_header(transfer, "webhook-signature", both) ||
           err_set(why, ERR_RETRY, "out of memory");
}

static bool
scheme_allowed(const struct config *config, const struct endpoint *endpoint, struct err *why)
{
    if (strncmp(endpoint->target, "https://", 8) == 0)
        return true;
    if (strncmp(endpoint->target, "http://", 7) != 0)
        return err_set(why, ERR_INPUT, "%s: the URL is neither https:// nor http://",
                       endpoint->name);
    return config->alerts.allow_http ||
           err_set(why, ERR_INPUT,
                   "%s: the webhook is http://, which is not encrypted; "
                   "alerts.allow_http: true allows it",
                   endpoint->name);
}

static bool
add_headers(struct transfer *transfer, const struct endpoint *endpoint, const char *id,
            int64_t now_ms, struct err *why)
{
    const int64_t timestamp_s = now_ms / 1000;
    char number[24];

    (void)snprintf(number, sizeof number, "%" PRId64, timestamp_s);
    if (!add_header(transfer, "Content-Type", "application/json") ||
        !add_header(transfer, "User-Agent", "tripmeter") ||
        !add_header(transfer, "webhook-id", id) ||
        !add_header(transfer, "webhook-timestamp", number) ||
        !add_header(transfer, "Idempotency-Key", id) ||
        !add_header(transfer, "Expect", "")) /* no waiting for 100 Continue */
        return err_set(why, ERR_RETRY, "out of memory");
    return add_signatures(transfer, endpoint, id, timestamp_s, why);
}

bool
webhook_prepare(struct transfer *transfer, const struct config *config,
                const struct endpoint *endpoint, const struct delivery *delivery, int64_t now_ms,
                struct err *why)
{
    *transfer = (struct transfer){.allow_private = config->alerts.allow_private,
                                  .upload = writer_new(delivery->body.size + 1)};
    writer_text(&transfer->upload, delivery->body);
    if (transfer->upload.full)
        return err_set(why, ERR_RETRY, "out of memory");
    if (!scheme_allowed(config, endpoint, why) ||
        !transfer_start(transfer, endpoint->target, "http,https", WEBHOOK_TIMEOUT_MS, why) ||
        !add_headers(transfer, endpoint, delivery->id, now_ms, why))
        return false;
    CURL *easy = transfer->easy;

    (void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->upload.at);
    (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)transfer->upload.size);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_response);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    return true;
}

/* ---- what came of it ------------------------------------------------------------------------- */

static enum verdict
verdict_of_status(long status)
{
    if (status >= 200 && status < 300)
        return VERDICT_DELIVERED;
    if (status == 410)
        return VERDICT_GONE;
    if (status == 408 || status == 429 || status >= 500)
        return VERDICT_RETRY;
    return VERDICT_REFUSED;
}

void
webhook_verdict(const struct transfer *transfer, CURLcode code, struct attempt *out)
{
    long status = 0;
    curl_off_t retry_after_s = 0;
    char what[ATTEMPT_TEXT_SIZE];

    if (transfer->refused[0] != '\0' && code != CURLE_OK) {
        (void)snprintf(what, sizeof what,
                       "%s is at %s, which is not a public address; "
                       "alerts.allow_private: true allows it",
                       transfer->host, transfer->refused);
        attempt_say(out, VERDICT_RETRY, what, "");
        return;
    }
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    /* A response that is too long or breaks off after its status has said what counts. */
    if (status < 200) {
        (void)snprintf(what, sizeof what, "%s: %s", transfer->host, curl_easy_strerror(code));
        attempt_say(out, VERDICT_RETRY, what, transfer->error);
        return;
    }
    (void)snprintf(what, sizeof what, "%s answered %ld", transfer->host, status);
    attempt_say(out, verdict_of_status(status), what, transfer->response);
    if (out->verdict == VERDICT_DELIVERED)
        out->text[0] = '\0';
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    if (retry_after_s > 0)
        out->retry_after_ms = (retry_after_s < 86400 ? (int64_t)retry_after_s : 86400) * 1000;
}
