#include "sinks/delivery.h"

#define CONNECT_TIMEOUT_MS 10000

void
transfer_free(struct transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    curl_slist_free_all(transfer->recipients);
    writer_free(&transfer->upload);
    *transfer = (struct transfer){.easy = NULL};
}

static void
name_host(struct transfer *transfer, const char *url)
{
    CURLU *parts = curl_url();
    char *host = NULL;

    if (parts != NULL && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK)
        (void)text_copy(transfer->host, sizeof transfer->host, text_of(host));
    curl_free(host);
    curl_url_cleanup(parts);
}

bool
transfer_start(struct transfer *transfer, const char *url, const char *protocols,
               int64_t timeout_ms, struct err *why)
{
    CURL *easy = curl_easy_init();

    if (easy == NULL)
        return err_set(why, ERR_RETRY, "out of memory");
    transfer->easy = easy;
    name_host(transfer, url);
    CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, url);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocols);
    if (code != CURLE_OK)
        return err_set(why, ERR_RETRY, "curl: %s", curl_easy_strerror(code));
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    /* A proxy named in the environment would connect where we refuse to. */
    (void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    return true;
}

void
attempt_say(struct attempt *out, enum verdict verdict, const char *what, const char *detail)
{
    struct err line;

    /* err_set turns line ends into blanks, so that words stay apart. */
    (void)err_set(&line, ERR_RETRY, "%s%s%s", what, *detail == '\0' ? "" : ": ", detail);
    (void)plain_line(line.text);
    for (size_t size = strlen(line.text); size > 0 && line.text[size - 1] == ' '; size--)
        line.text[size - 1] = '\0';
    *out = (struct attempt){.verdict = verdict};
    (void)text_copy(out->text, sizeof out->text, text_of(line.text));
}
