#include "sinks/email.h"

#include "core/clock.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define MESSAGE_LIMIT ((size_t)256 * 1024)
#define ADDRESS_SIZE  256
#define URL_SIZE      320

/* ---- addresses ------------------------------------------------------------------------------- */

/* "Name <a@b>" or "a@b" to "a@b". An address ends up in an SMTP command as it is, so nothing that
 * could end the command or the address may be in it. */
static bool
bare_address(const char *given, char out[ADDRESS_SIZE], struct err *why)
{
    const char *open = strrchr(given, '<');
    const char *from = open == NULL ? given : open + 1;
    const char *end = open == NULL ? given + strlen(given) : strchr(from, '>');
    const char *at_sign = NULL;

    if (end == NULL || end == from || (size_t)(end - from) >= ADDRESS_SIZE)
        return err_set(why, ERR_INPUT, "\"%s\" is no e-mail address", given);
    for (const char *at = from; at < end; at++) {
        const unsigned char byte = (unsigned char)*at;

        if (byte <= 0x20 || byte >= 0x7f || strchr("<>()[]\\,;:\"", byte) != NULL)
            return err_set(why, ERR_INPUT, "\"%s\" is no e-mail address that can be used", given);
        if (byte == '@')
            at_sign = at;
    }
    if (at_sign == NULL || at_sign == from || at_sign + 1 == end)
        return err_set(why, ERR_INPUT, "\"%s\" is no e-mail address: name@domain", given);
    (void)text_copy(out, ADDRESS_SIZE, (struct text){from, (size_t)(end - from)});
    return true;
}

/* ---- headers --------------------------------------------------------------------------------- */

/* RFC 2047: an encoded word is at most 75 characters, so 45 bytes of text; characters are not cut
 * in two. */
static void
write_encoded(struct writer *out, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        size_t take = left < 45 ? left : 45;
        char word[64];

        while (take < left && take > 0 && ((unsigned char)text[take] & 0xc0) == 0x80)
            take--;
        (void)EVP_EncodeBlock((unsigned char *)word, (const unsigned char *)text, (int)take);
        writer_format(out, "=?UTF-8?B?%s?=", word);
        text += take;
        left -= take;
        if (left > 0)
            writer_string(out, "\r\n ");
    }
}

static size_t
write_header(struct writer *out, const char *name, struct text value)
{
    char line[900]; /* RFC 5322: a line has at most 998 characters */
    bool ascii = true;

    (void)text_copy(line, sizeof line, value);
    const size_t removed = plain_line(line);

    for (const char *at = line; *at != '\0'; at++)
        ascii = ascii && (unsigned char)*at < 0x80;
    writer_format(out, "%s: ", name);
    if (ascii)
        writer_string(out, line);
    else
        write_encoded(out, line);
    writer_string(out, "\r\n");
    return removed;
}

/* RFC 5322: "Sat, 14 Mar 2026 09:12:00 +0000". */
static void
write_date(struct writer *out, int64_t at_ms)
{
    static const char days[7][4] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const int64_t day = clock_day_of(at_ms);
    const struct civil date = clock_civil(day);
    const int second = (int)((at_ms - day * CLOCK_DAY_MS) / CLOCK_SECOND_MS);

    writer_format(out, "Date: %s, %" PRId32 " %s %" PRId32 " %02d:%02d:%02d +0000\r\n",
                  days[clock_weekday(day)], date.day, months[date.month - 1], date.year,
                  second / 3600, second / 60 % 60, second % 60);
}

/* ---- body ------------------------------------------------------------------------------------ */

/* Quoted-printable (RFC 2045, 6.7) with CR LF at the line ends of the text. */
static void
write_quoted(struct writer *out, struct text text)
{
    size_t column = 0;

    for (size_t i = 0; i < text.size; i++) {
        const unsigned char byte = (unsigned char)text.at[i];
        const bool line_end = i + 1 == text.size || text.at[i + 1] == '\n';

        if (byte == '\n') {
            writer_string(out, "\r\n");
            column = 0;
            continue;
        }
        if (column > 72) {
            writer_string(out, "=\r\n");
            column = 0;
        }
        const bool plain = byte >= 0x20 && byte < 0x7f && byte != '=' && !(byte == ' ' && line_end);

        if (plain) {
            writer_add(out, &byte, 1);
            column++;
        } else {
            writer_format(out, "=%02X", (unsigned)byte);
            column += 3;
        }
    }
}

static void
write_part(struct writer *out, const char *boundary, const char *type, struct text text)
{
    writer_format(out,
                  "--%s\r\nContent-Type: %s; charset=utf-8\r\n"
                  "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
                  boundary, type);
    write_quoted(out, text);
    writer_string(out, "\r\n");
}

bool
email_write(struct writer *out, const char *from, const char *to, const struct delivery *delivery,
            size_t *removed, struct err *why)
{
    char sender[ADDRESS_SIZE];
    char recipient[ADDRESS_SIZE];

    if (!bare_address(from, sender, why) || !bare_address(to, recipient, why))
        return false;
    const char *domain = strrchr(sender, '@') + 1;

    write_date(out, delivery->created_ms);
    *removed = write_header(out, "From", text_of(from));
    *removed += write_header(out, "To", text_of(to));
    *removed += write_header(out, "Subject", delivery->subject);
    writer_format(out, "Message-ID: <%s@%s>\r\n", delivery->id, domain);
    if (delivery->thread[0] != '\0')
        writer_format(out, "In-Reply-To: <%s@%s>\r\nReferences: <%s@%s>\r\n", delivery->thread,
                      domain, delivery->thread, domain);
    writer_format(out, "List-Id: tripmeter alerts <alerts.tripmeter.%s>\r\n", domain);
    writer_string(out, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n");
    writer_format(out, "Content-Type: multipart/alternative; boundary=\"=_%s\"\r\n\r\n",
                  delivery->id);
    char boundary[MESSAGE_ID_SIZE + 2];

    (void)snprintf(boundary, sizeof boundary, "=_%s", delivery->id);
    write_part(out, boundary, "text/plain", delivery->body);
    write_part(out, boundary, "text/html", delivery->html);
    writer_format(out, "--%s--\r\n", boundary);
    return !out->full ||
           err_set(why, ERR_INPUT, "the e-mail is larger than %zu bytes", MESSAGE_LIMIT);
}

/* ---- the transaction ------------------------------------------------------------------------- */

static size_t
give_upload(char *to, size_t one, size_t room, void *context)
{
    struct transfer *transfer = context;
    const size_t left = transfer->upload.size - transfer->sent;
    const size_t size = left < room * one ? left : room * one;

    if (size > 0)
        memcpy(to, transfer->upload.at + transfer->sent, size);
    transfer->sent += size;
    return size;
}

/* Keeps the server's last line but its good-bye: curl says the code, people want the words. */
static size_t
/* NOLINTNEXTLINE(readability-non-const-parameter): curl's type of the function */
take_reply(char *bytes, size_t one, size_t size, void *context)
{
    struct transfer *transfer = context;
    const struct text line = {bytes, size * one};

    if (line.size < 3 || memcmp(line.at, "221", 3) != 0)
        (void)text_copy(transfer->response, sizeof transfer->response, line);
    return size * one;
}

static bool
add_recipient(struct transfer *transfer, const char *address)
{
    char bracketed[ADDRESS_SIZE + 2];

    (void)snprintf(bracketed, sizeof bracketed, "<%s>", address);
    transfer->recipients = curl_slist_append(NULL, bracketed);
    return transfer->recipients != NULL;
}

static void
set_security(CURL *easy, const struct config *config)
{
    const bool tls = config->smtp.tls != SMTP_OFF;

    (void)curl_easy_setopt(easy, CURLOPT_USE_SSL, (long)(tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    if (config->smtp.ca_file != NULL)
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, config->smtp.ca_file);
    if (config->smtp.user != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_USERNAME, config->smtp.user);
        (void)curl_easy_setopt(easy, CURLOPT_PASSWORD,
                               config->smtp.password == NULL ? "" : config->smtp.password);
    }
}

bool
email_prepare(struct transfer *transfer, const struct config *config,
              const struct endpoint *endpoint, const struct delivery *delivery, struct err *why)
{
    char sender[ADDRESS_SIZE];
    char recipient[ADDRESS_SIZE];
    char url[URL_SIZE];
    char bracketed[ADDRESS_SIZE + 2];

    *transfer = (struct transfer){.upload = writer_new(MESSAGE_LIMIT)};
    if (config->smtp.host == NULL || config->smtp.from == NULL)
        return err_set(why, ERR_INPUT, "%s: smtp.host and smtp.from are not set", endpoint->name);
    if (!email_write(&transfer->upload, config->smtp.from, endpoint->target, delivery,
                     &transfer->removed, why) ||
        !bare_address(config->smtp.from, sender, why) ||
        !bare_address(endpoint->target, recipient, why))
        return false;
    const bool v6 = strchr(config->smtp.host, ':') != NULL;
    const int size = snprintf(url, sizeof url, "%s://%s%s%s:%d/%s",
                              config->smtp.tls == SMTP_IMPLICIT ? "smtps" : "smtp", v6 ? "[" : "",
                              config->smtp.host, v6 ? "]" : "", config->smtp.port,
                              strrchr(sender, '@') + 1 /* said in EHLO */);

    if (size < 0 || (size_t)size >= sizeof url)
        return err_set(why, ERR_INPUT, "smtp.host is too long");
    if (!transfer_start(transfer, url, "smtp,smtps", EMAIL_TIMEOUT_MS, why))
        return false;
    if (!add_recipient(transfer, recipient))
        return err_set(why, ERR_RETRY, "out of memory");
    (void)snprintf(bracketed, sizeof bracketed, "<%s>", sender);
    set_security(transfer->easy, config);
    (void)curl_easy_setopt(transfer->easy, CURLOPT_MAIL_FROM, bracketed);
    (void)curl_easy_setopt(transfer->easy, CURLOPT_MAIL_RCPT, transfer->recipients);
    (void)curl_easy_setopt(transfer->easy, CURLOPT_UPLOAD, 1L);
    (void)curl_easy_setopt(transfer->easy, CURLOPT_READFUNCTION, give_upload);
    (void)curl_easy_setopt(transfer->easy, CURLOPT_READDATA, transfer);
    (void)curl_easy_setopt(transfer->easy, CURLOPT_HEADERFUNCTION, take_reply);
    (void)curl_easy_setopt(transfer->easy, CURLOPT_HEADERDATA, transfer);
    return true;
}

void
email_verdict(const struct transfer *transfer, CURLcode code, struct attempt *out)
{
    long reply = 0;
    char what[ATTEMPT_TEXT_SIZE];

    if (code == CURLE_OK) {
        *out = (struct attempt){.verdict = VERDICT_DELIVERED};
        return;
    }
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &reply);
    if (code == CURLE_USE_SSL_FAILED) {
        (void)snprintf(what, sizeof what,
                       "mail server %s offers no STARTTLS; smtp.tls: off sends without encryption",
                       transfer->host);
        attempt_say(out, VERDICT_RETRY, what, "");
    } else if (code == CURLE_LOGIN_DENIED) {
        /* A wrong password is not the message's fault: it must outlive the repair. */
        (void)snprintf(what, sizeof what, "mail server %s refused smtp.user and its password",
                       transfer->host);
        attempt_say(out, VERDICT_REFUSED, what, transfer->response);
    } else if (reply >= 500 && reply < 600) {
        (void)snprintf(what, sizeof what, "mail server %s refused", transfer->host);
        attempt_say(out, VERDICT_DEAD, what, transfer->response);
    } else if (reply == 354) {
        (void)snprintf(what, sizeof what,
                       "mail server %s: connection lost after the data, it may have arrived",
                       transfer->host);
        attempt_say(out, VERDICT_RETRY, what, curl_easy_strerror(code));
    } else if (reply >= 400 && reply < 500) {
        (void)snprintf(what, sizeof what, "mail server %s put it off", transfer->host);
        attempt_say(out, VERDICT_RETRY, what, transfer->response);
    } else {
        (void)snprintf(what, sizeof what, "mail server %s: %s", transfer->host,
                       curl_easy_strerror(code));
        attempt_say(out, VERDICT_RETRY, what, transfer->error);
    }
}
