/* Protects: the words of a configuration mean one thing, at the edges too. */
#include "config/value.h"
#include "tests/check.h"

struct number_row {
    const char *text;
    bool good;
    int64_t value;
};

static void
check_numbers(bool (*read)(struct text, int64_t *), const struct number_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t value = 0;

        CHECK_INT(rows[i].text, read(text_of(rows[i].text), &value), rows[i].good);
        if (rows[i].good)
            CHECK_INT(rows[i].text, value, rows[i].value);
    }
}
#define CHECK_NUMBERS(read, rows) check_numbers((read), (rows), sizeof(rows) / sizeof(rows)[0])

static void
test_numbers(void)
{
    static const struct number_row integers[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"1_000_000", true, 1000000},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"_1", false, 0},
        {"1_", false, 0},
        {"1__0", false, 0},
        {"-_1", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"+1", false, 0},
        {"1 ", false, 0},
        {"0x10", false, 0},
        {"1.0", false, 0},
        {"000000000000000000000000000000000000000000000001", false, 0},
    };
    static const struct number_row counts[] = {
        {"50k", true, 50000},  {"1M", true, 1000000}, {"2G", true, 2000000000},
        {"1_0k", true, 10000}, {"7", true, 7},        {"k", false, 0},
        {"1K", false, 0},      {"1m", false, 0},      {"1 k", false, 0},
        {"1kk", false, 0},     {"1.5k", false, 0},    {"9223372036854775807k", false, 0},
    };
    static const struct number_row sizes[] = {
        {"1", true, 1},
        {"1B", true, 1},
        {"64KiB", true, 65536},
        {"64MiB", true, 64 << 20},
        {"4GiB", true, INT64_C(4) << 30},
        {"1KB", false, 0},
        {"1kib", false, 0},
        {"MiB", false, 0},
        {"9000000000GiB", false, 0},
    };
    static const struct number_row shifts[] = {
        {"0s", true, 0},
        {"0", true, 0},
        {"30d", true, INT64_C(30) * 86400000},
        {"-2h", true, -7200000},
        {"+1h30m", true, 5400000},
        {"--1h", false, 0},
        {"-", false, 0},
        {"", false, 0},
        {"1", false, 0},
    };

    CHECK_NUMBERS(value_integer, integers);
    CHECK_NUMBERS(value_count, counts);
    CHECK_NUMBERS(value_size, sizes);
    CHECK_NUMBERS(value_shift, shifts);
}

static void
test_choices(void)
{
    int64_t index = -1;

    CHECK_INT("first", value_choice(TEXT("one"), "one|two|three", &index), true);
    CHECK_INT("first", index, 0);
    CHECK_INT("last", value_choice(TEXT("three"), "one|two|three", &index), true);
    CHECK_INT("last", index, 2);
    CHECK_INT("prefix", value_choice(TEXT("thre"), "one|two|three", &index), false);
    CHECK_INT("two at once", value_choice(TEXT("one|two"), "one|two|three", &index), false);
    CHECK_INT("empty", value_choice(TEXT(""), "one|two", &index), false);
    CHECK_INT("alone", value_choice(TEXT("month"), "month", &index), true);
    CHECK_INT("near", text_eq(value_nearest_choice(TEXT("thre"), "one|two|three"), TEXT("three")),
              true);
    CHECK_INT("far", value_nearest_choice(TEXT("eleven"), "one|two|three").at == NULL, true);
}

static const struct {
    const char *(*check)(struct text);
    const char *text;
    bool good;
} text_rows[] = {
    {value_check_topic, "usage.v1_x-y", true},
    {value_check_topic, "", false},
    {value_check_topic, ".", false},
    {value_check_topic, "..", false},
    {value_check_topic, "...", true},
    {value_check_topic, "us age", false},
    {value_check_identifier, "tripmeter_2", true},
    {value_check_identifier, "2tripmeter", false},
    {value_check_identifier, "Tripmeter", false},
    {value_check_identifier, "pg_x", false},
    {value_check_identifier, "a-b", false},
    {value_check_word, "api_calls", true},
    {value_check_word, "api-calls", false},
    {value_check_word, "_api", false},
    {value_check_word, "a2345678901234567890123456789012345678901234567890123456789012", true},
    {value_check_word, "a234567890123456789012345678901234567890123456789012345678901234", false},
    {value_check_label, "api-calls", true},
    {value_check_label, "-api", false},
    {value_check_currency, "USD", true},
    {value_check_currency, "US", false},
    {value_check_currency, "USDX", false},
    {value_check_currency, "Usd", false},
    {value_check_broker, "kafka-1:9092", true},
    {value_check_broker, "10.0.0.1:1", true},
    {value_check_broker, "[::1]:9092", true},
    {value_check_broker, "[::g]:9092", false},
    {value_check_broker, "::1:9092", false},
    {value_check_broker, "kafka:0", false},
    {value_check_broker, "kafka:65536", false},
    {value_check_broker, "kafka:", false},
    {value_check_broker, "kafka", false},
    {value_check_broker, ":9092", false},
    {value_check_broker, "a b:1", false},
    {value_check_broker, "SSL://k:1", false},
    {value_check_host, "mx.example.com", true},
    {value_check_host, "192.0.2.1", true},
    {value_check_host, "2001:db8::1", true},
    {value_check_host, "mx:25", false},
    {value_check_host, "-mx", false},
    {value_check_host, "mx/", false},
    {value_check_ip, "::", true},
    {value_check_ip, "0.0.0.0", true},
    {value_check_ip, "localhost", false},
    {value_check_ip, "1.2.3", false},
    {value_check_email, "ops@example.com", true},
    {value_check_email, "first.last+tag@mx", true},
    {value_check_email, "ops", false},
    {value_check_email, "@example.com", false},
    {value_check_email, "ops@", false},
    {value_check_email, "a@b@c", false},
    {value_check_email, "a b@c.d", false},
    {value_check_email, "a@c.d,e@f.g", false},
    {value_check_email, "<a@c.d>", false},
    {value_check_email, "a@c.d\r\nBcc: x@y", false},
    {value_check_email, "\xc3\xa4@c.d", false},
    {value_check_sender, "Ops <ops@example.com>", true},
    {value_check_sender, "ops@example.com", true},
    {value_check_sender, "Ops <ops>", false},
    {value_check_sender, "Ops <>", false},
    {value_check_sender, "Ops <a@b> x", false},
    {value_check_url, "https://example.com", true},
    {value_check_url, "https://example.com:8443/a/b?c=d#e", true},
    {value_check_url, "http://[2001:db8::1]:80/", true},
    {value_check_url, "https://example.com/a@b", true},
    {value_check_url, "https://", false},
    {value_check_url, "https:///x", false},
    {value_check_url, "https://u@example.com", false},
    {value_check_url, "https://u:p@example.com", false},
    {value_check_url, "https://example.com:0", false},
    {value_check_url, "https://example.com:99999", false},
    {value_check_url, "https://example.com/a b", false},
    {value_check_url, "https://exa mple.com/", false},
    {value_check_url, "https://example.com/\xc3\xa4", false},
    {value_check_url, "example.com", false},
    {value_check_url, "HTTPS://example.com", false},
    {value_check_url, "file:///etc/passwd", false},
    {value_check_postgres, "postgresql://u:p@h:5432/db?sslmode=require", true},
    {value_check_postgres, "postgres:///db", true},
    {value_check_postgres, "host=h dbname=d password='a b'", true},
    {value_check_postgres, "usage", false},
    {value_check_postgres, "host=h databse=d", false},
    {value_check_postgres, "mysql://h/db", false},
    {value_check_signing_key, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true},  /* 24 bytes */
    {value_check_signing_key, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS=", false}, /* 23 bytes */
    {value_check_signing_key, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", false},
    {value_check_signing_key, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false},
    {value_check_signing_key, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2Laa-_w", false},
    {value_check_signing_key, "whsec_", false},
    /* 64 bytes, and 66 */
    {value_check_signing_key,
     "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
     "AAAAAA==",
     false},
    {value_check_signing_key,
     "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
     "AAAA==",
     true},
};

static void
test_texts(void)
{
    for (size_t i = 0; i < sizeof text_rows / sizeof text_rows[0]; i++)
        CHECK_INT(text_rows[i].text, text_rows[i].check(text_of(text_rows[i].text)) == NULL,
                  text_rows[i].good);
}

static CU_TestInfo tests[] = {
    {"numbers", test_numbers},
    {"choices", test_choices},
    {"texts", test_texts},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_value = {.pName = "value", .pTests = tests};
