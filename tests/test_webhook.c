/* Protects: signatures as the specification's example has them, addresses that are refused, and what
 * an answer means. */
#include "sinks/webhook.h"
#include "tests/check.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

static void
test_vector(void)
{
    char signature[WEBHOOK_SIGNATURE_SIZE];
    struct err why;

    CU_ASSERT_TRUE_FATAL(webhook_sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                                      TEXT("{\"test\": 2432232314}"), signature, &why));
    CU_ASSERT_STRING_EQUAL(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

struct secret_row {
    const char *secret;
    bool good;
};

static void
test_secrets(void)
{
    static const struct secret_row rows[] = {
        {SECRET, true},        {"whsec_YQ==", true},  {"whsec_YQ", true},
        {"plain words", true}, {"whsec_", false},     {"whsec_====", false},
        {"whsec_Y", false},    {"whsec_$$$$", false}, {"", false},
    };
    char signature[WEBHOOK_SIGNATURE_SIZE];
    char padded[WEBHOOK_SIGNATURE_SIZE];
    char long_secret[2000];
    struct err why;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_INT(rows[i].secret,
                  webhook_sign(rows[i].secret, "id", 1, TEXT("{}"), signature, &why), rows[i].good);
    CU_ASSERT_TRUE(webhook_sign("whsec_YQ==", "id", 1, TEXT("{}"), padded, &why));
    CU_ASSERT_TRUE(webhook_sign("whsec_YQ", "id", 1, TEXT("{}"), signature, &why));
    CU_ASSERT_STRING_EQUAL(padded, signature);
    memset(long_secret, 'A', sizeof long_secret - 1);
    long_secret[sizeof long_secret - 1] = '\0';
    CU_ASSERT_FALSE(webhook_sign(long_secret, "id", 1, TEXT("{}"), signature, &why));
    memcpy(long_secret, "whsec_", 6);
    CU_ASSERT_FALSE(webhook_sign(long_secret, "id", 1, TEXT("{}"), signature, &why));
}

struct address_row {
    const char *address;
    bool private;
};

static void
test_addresses(void)
{
    static const struct address_row rows[] = {
        {"127.0.0.1", true},
        {"127.255.255.255", true},
        {"128.0.0.1", false},
        {"10.0.0.1", true},
        {"9.255.255.255", false},
        {"11.0.0.0", false},
        {"172.15.255.255", false},
        {"172.16.0.0", true},
        {"172.31.255.255", true},
        {"172.32.0.0", false},
        {"192.168.1.1", true},
        {"192.169.0.0", false},
        {"169.254.169.254", true},
        {"100.64.0.1", true},
        {"100.100.100.200", true},
        {"100.128.0.0", false},
        {"0.0.0.0", true},
        {"224.0.0.1", true},
        {"255.255.255.255", true},
        {"168.63.129.16", true},
        {"168.63.129.17", false},
        {"198.18.0.1", true},
        {"8.8.8.8", false},
        {"93.184.216.34", false},
        {"::", true},
        {"::1", true},
        {"fe80::1", true},
        {"fc00::1", true},
        {"fd00:ec2::254", true},
        {"ff02::1", true},
        {"::ffff:127.0.0.1", true},
        {"::ffff:8.8.8.8", false},
        {"::127.0.0.1", true},
        {"64:ff9b::a00:1", true},
        {"64:ff9b::808:808", false},
        {"2002:7f00:1::", true},
        {"2002:808:808::", false},
        {"2001:db8::1", true},
        {"2001::1", true},
        {"2606:4700::1111", false},
        {"2a00:1450:4001::200e", false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
        struct sockaddr_storage any = {.ss_family = AF_UNSPEC};

        if (inet_pton(AF_INET, rows[i].address, &v4.sin_addr) == 1)
            memcpy(&any, &v4, sizeof v4);
        else if (inet_pton(AF_INET6, rows[i].address, &v6.sin6_addr) == 1)
            memcpy(&any, &v6, sizeof v6);
        CHECK_INT(rows[i].address, webhook_address_private((const struct sockaddr *)&any),
                  rows[i].private);
    }
    const struct sockaddr unix_socket = {.sa_family = AF_UNIX};

    CHECK_INT("not IP", webhook_address_private(&unix_socket), true);
}

/* Two keys: two signatures, the new one first; the body goes out as it was frozen. */
static void
test_request(void)
{
    struct config config = {.alerts = {.allow_http = false, .allow_private = false}};
    struct endpoint endpoint = {.kind = ENDPOINT_WEBHOOK,
                                .name = "billing/webhook/0",
                                .target = "https://example.com/hook",
                                .secret = SECRET,
                                .old_secret = "whsec_YWJj"};
    struct delivery delivery = {.id = "tm_abc", .body = TEXT("{\"test\": 1}")};
    struct transfer transfer;
    struct err why;
    char expected[300];
    char first[WEBHOOK_SIGNATURE_SIZE];
    char second[WEBHOOK_SIGNATURE_SIZE];
    bool found = false;

    CU_ASSERT_TRUE_FATAL(webhook_prepare(&transfer, &config, &endpoint, &delivery, 5999, &why));
    (void)webhook_sign(SECRET, "tm_abc", 5, delivery.body, first, &why);
    (void)webhook_sign("whsec_YWJj", "tm_abc", 5, delivery.body, second, &why);
    (void)snprintf(expected, sizeof expected, "webhook-signature: %s %s", first, second);
    for (const struct curl_slist *line = transfer.headers; line != NULL; line = line->next)
        found = found || strcmp(line->data, expected) == 0;
    CU_ASSERT_TRUE(found);
    transfer_free(&transfer);

    endpoint.target = "http://example.com/hook";
    CU_ASSERT_FALSE(webhook_prepare(&transfer, &config, &endpoint, &delivery, 5999, &why));
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "alerts.allow_http: true"));
    transfer_free(&transfer);
    endpoint.target = "file:///etc/passwd";
    config.alerts.allow_http = true;
    CU_ASSERT_FALSE(webhook_prepare(&transfer, &config, &endpoint, &delivery, 5999, &why));
    transfer_free(&transfer);
}

/* A name that leads to a private address is refused where the socket is opened. */
static void
test_refused(void)
{
    const struct config config = {.alerts = {.allow_http = true}};
    const struct endpoint endpoint = {
        .kind = ENDPOINT_WEBHOOK, .name = "billing/webhook/0", .target = "http://localhost:9/hook"};
    const struct delivery delivery = {.id = "tm_abc", .body = TEXT("{}")};
    struct transfer transfer;
    struct attempt attempt;
    struct err why;

    CU_ASSERT_TRUE_FATAL(webhook_prepare(&transfer, &config, &endpoint, &delivery, 0, &why));
    const CURLcode code = curl_easy_perform(transfer.easy);

    CU_ASSERT_NOT_EQUAL(code, CURLE_OK);
    webhook_verdict(&transfer, code, &attempt);
    CHECK_INT("verdict", attempt.verdict, VERDICT_RETRY);
    CU_ASSERT_PTR_NOT_NULL(strstr(attempt.text, "alerts.allow_private: true"));
    CU_ASSERT_PTR_NOT_NULL(strstr(attempt.text, "localhost"));
    transfer_free(&transfer);
}

static CU_TestInfo tests[] = {
    {"vector", test_vector},   {"secrets", test_secrets}, {"addresses", test_addresses},
    {"request", test_request}, {"refused", test_refused}, CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_webhook = {.pName = "webhook", .pTests = tests};
