/* Protects: what a mail looks like on the wire, and that no value can add a header to it. */
#include "sinks/email.h"
#include "tests/check.h"

static struct delivery
example(void)
{
    const struct delivery delivery = {.id = "tm_bbbbbbbbbbbbbbbbbbbbbbbbbb",
                                      .thread = "tm_aaaaaaaaaaaaaaaaaaaaaaaaaa",
                                      .created_ms = INT64_C(1773475920000),
                                      .subject = TEXT("[tripmeter] acme: api_calls 90%"),
                                      .body = TEXT("90 % = nearly all \n.\nGrüße\n"),
                                      .html = TEXT("<p>90 %</p>\n")};

    return delivery;
}

static void
test_whole(void)
{
    const struct delivery delivery = example();
    struct writer out = writer_new(65536);
    struct err why;
    size_t removed = 9;

    CU_ASSERT_TRUE_FATAL(email_write(&out, "tripmeter <alerts@example.com>", "ops@example.org",
                                     &delivery, &removed, &why));
    CU_ASSERT_STRING_EQUAL(
        writer_get(&out),
        "Date: Sat, 14 Mar 2026 08:12:00 +0000\r\n"
        "From: tripmeter <alerts@example.com>\r\n"
        "To: ops@example.org\r\n"
        "Subject: [tripmeter] acme: api_calls 90%\r\n"
        "Message-ID: <tm_bbbbbbbbbbbbbbbbbbbbbbbbbb@example.com>\r\n"
        "In-Reply-To: <tm_aaaaaaaaaaaaaaaaaaaaaaaaaa@example.com>\r\n"
        "References: <tm_aaaaaaaaaaaaaaaaaaaaaaaaaa@example.com>\r\n"
        "List-Id: tripmeter alerts <alerts.tripmeter.example.com>\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/alternative; boundary=\"=_tm_bbbbbbbbbbbbbbbbbbbbbbbbbb\"\r\n"
        "\r\n"
        "--=_tm_bbbbbbbbbbbbbbbbbbbbbbbbbb\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n"
        "\r\n"
        "90 % =3D nearly all=20\r\n"
        ".\r\n"
        "Gr=C3=BC=C3=9Fe\r\n"
        "\r\n"
        "--=_tm_bbbbbbbbbbbbbbbbbbbbbbbbbb\r\n"
        "Content-Type: text/html; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n"
        "\r\n"
        "<p>90 %</p>\r\n"
        "\r\n"
        "--=_tm_bbbbbbbbbbbbbbbbbbbbbbbbbb--\r\n");
    CHECK_INT("removed", removed, 0);
    writer_free(&out);
}

struct subject_row {
    const char *name;
    const char *subject;
    const char *header; /* as it must be on the wire, up to the next header */
    size_t removed;
};

static const struct subject_row subjects[] = {
    {"line feed", "a\r\nBcc: x@example.com", "Subject: aBcc: x@example.com\r\nMessage-ID", 2},
    {"controls", "a\tb\x7f\x01", "Subject: ab\r\nMessage-ID", 3},
    {"C1 and line separator", "a\xc2\x85z\xe2\x80\xa8z", "Subject: azz\r\nMessage-ID", 2},
    {"no UTF-8", "a\xff\xc3", "Subject: a??\r\nMessage-ID", 2},
    {"RFC 2047", "Grüße", "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\nMessage-ID", 0},
    {"long, cut between characters", "xüüüüüüüüüüüüüüüüüüüüüüüüü",
     "Subject: =?UTF-8?B?eMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8?=\r\n"
     " =?UTF-8?B?w7zDvMO8?=\r\nMessage-ID",
     0},
};

static void
test_subjects(void)
{
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        struct delivery delivery = example();
        struct writer out = writer_new(65536);
        struct err why;
        size_t removed = 0;

        delivery.subject = text_of(subjects[i].subject);
        CU_ASSERT_TRUE_FATAL(
            email_write(&out, "alerts@example.com", "ops@example.org", &delivery, &removed, &why));
        if (strstr(writer_get(&out), subjects[i].header) == NULL)
            (void)printf("[%s]\n%s\n", subjects[i].name, writer_get(&out));
        CU_ASSERT_PTR_NOT_NULL(strstr(writer_get(&out), subjects[i].header));
        CHECK_INT(subjects[i].name, removed, subjects[i].removed);
        writer_free(&out);
    }
}

static void
test_addresses(void)
{
    static const char *const bad[] = {
        "",         "ops",  "@example.org", "ops@",          "a b@example.org",
        "a@b\r\nc", "<a@b", "a,b@c",        "ü@example.org", "x <>",
    };
    const struct delivery delivery = example();

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct writer out = writer_new(65536);
        struct err why = {.class = ERR_NONE};
        size_t removed;

        CHECK_INT(bad[i],
                  email_write(&out, "alerts@example.com", bad[i], &delivery, &removed, &why),
                  false);
        CHECK_INT(bad[i], why.class, ERR_INPUT);
        writer_free(&out);
    }
}

/* Lines of any length are broken before 77 characters (RFC 2045). */
static void
test_line_length(void)
{
    struct delivery delivery = example();
    struct writer out = writer_new(65536);
    char line[2001];
    struct err why;
    size_t removed;
    size_t width = 0;

    memset(line, '=', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    delivery.body = text_of(line);
    CU_ASSERT_TRUE_FATAL(
        email_write(&out, "alerts@example.com", "ops@example.org", &delivery, &removed, &why));
    for (const char *at = strstr(writer_get(&out), "\r\n\r\n"); *at != '\0'; at++) {
        width = *at == '\n' ? 0 : width + 1;
        CU_ASSERT(width <= 77); /* 76 and the CR */
    }
    writer_free(&out);
}

static CU_TestInfo tests[] = {
    {"whole", test_whole},
    {"subjects", test_subjects},
    {"addresses", test_addresses},
    {"line length", test_line_length},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_email = {.pName = "email", .pTests = tests};
