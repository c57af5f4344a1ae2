/* Protects: every key and value knows its place, and what is not plain YAML is refused with it. */
#include "config/yaml.h"
#include "tests/findings_check.h"

#include <stdlib.h>

enum { TREE_SIZE = 64 << 20 };

static struct arena *arena;
static struct findings findings;

static const struct yaml *
parse(struct text body)
{
    arena_free(arena);
    findings_free(&findings);
    arena = arena_new(TREE_SIZE);
    findings_file(&findings, "test.yaml");
    return yaml_parse(body, arena, &findings);
}

static int
forget(void)
{
    arena_free(arena);
    findings_free(&findings);
    arena = NULL;
    return 0;
}

static void
test_tree(void)
{
    const struct yaml *root = parse(TEXT("# comment\n"
                                         "kafka:\n"
                                         "  topics: [a, \"b\"]\n"
                                         "  brokers: 'x: y'  # comment\n"
                                         "  group:\n"
                                         "\xc3\xa4: \xc3\xa4\xc3\xa4, \xc3\xa4\n"));
    const struct yaml *kafka = yaml_member(root, TEXT("kafka"));
    const struct yaml *topics = yaml_member(kafka, TEXT("topics"));
    const struct yaml *brokers = yaml_member(kafka, TEXT("brokers"));

    REQUIRE(topics);
    REQUIRE(brokers);
    CHECK_INT("no findings", findings.count, 0);
    CHECK_INT("root", root->kind, YAML_MAP);
    CHECK_INT("root", root->count, 2);
    CHECK_INT("kafka's line", kafka->key_at.line, 2);
    CHECK_INT("kafka's column", kafka->key_at.column, 1);
    CHECK_INT("topics", topics->kind, YAML_LIST);
    CHECK_INT("topics", topics->count, 2);
    CHECK_INT("topics' column", topics->at.column, 11);
    CHECK_INT("b", text_eq(topics->first->next->text, TEXT("b")), true);
    CHECK_INT("b's line", topics->first->next->at.line, 3);
    CHECK_INT("b's column", topics->first->next->at.column, 15);
    CHECK_INT("brokers", text_eq(brokers->text, TEXT("x: y")), true);
    CHECK_INT("brokers' column", brokers->key_at.column, 3);
    CHECK_INT("no value", yaml_member(kafka, TEXT("group"))->kind, YAML_EMPTY);
    CHECK_INT("columns are characters", yaml_member(root, TEXT("\xc3\xa4"))->at.column, 4);
    CU_ASSERT_PTR_NULL(yaml_member(kafka, TEXT("topic")));
    CU_ASSERT_PTR_NULL(yaml_member(topics, TEXT("a")));
    CU_ASSERT_PTR_NULL(yaml_member(NULL, TEXT("a")));
}

static void
test_kinds(void)
{
    static const struct {
        const char *body;
        enum yaml_kind kind;
    } rows[] = {
        {"", YAML_EMPTY},
        {"# nothing\n", YAML_EMPTY},
        {"---\n", YAML_EMPTY},
        {"~", YAML_EMPTY},
        {"null", YAML_EMPTY},
        {"\"\"", YAML_TEXT},
        {"'~'", YAML_TEXT},
        {"1.10", YAML_TEXT},
        {"true", YAML_TEXT},
        {"[]", YAML_LIST},
        {"- a\n- b\n", YAML_LIST},
        {"{}", YAML_MAP},
        {"a: b", YAML_MAP},
        {"\xef\xbb\xbf"
         "a: b\r\nc: d\r\n",
         YAML_MAP},
        {"%YAML 1.1\n---\na: b\n...\n", YAML_MAP},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct yaml *root = parse(text_of(rows[i].body));

        REQUIRE(root);
        CHECK_INT(rows[i].body, root->kind, rows[i].kind);
        CHECK_INT(rows[i].body, findings.count, 0);
    }
}

static void
test_refused(void)
{
    static const struct {
        const char *row;
        const char *body;
        const char *found;
        bool readable; /* the rest of the file is still read */
    } rows[] = {
        {"anchor", "a: &x 1\n",
         "1:4: anchors (&x) are not taken: write the value where it is meant", true},
        {"anchor on a map", "a: &x\n  b: 1\n",
         "1:4: anchors (&x) are not taken: write the value where it is meant", true},
        {"alias", "a: &x 1\nb: *x\n",
         "1:4: anchors (&x) are not taken: write the value where it is meant\n"
         "2:4: aliases (*x) are not taken: write the value where it is meant",
         true},
        {"merge key", "a: {<<: *x}\n",
         "1:9: aliases (*x) are not taken: write the value where it is meant", true},
        {"tag", "a: !!int 5\n", "1:4: tags (tag:yaml.org,2002:int) are not taken: remove it", true},
        {"tag on a list", "a: !x [1]\n", "1:4: tags (!x) are not taken: remove it", true},
        {"key twice", "a: 1\nb: 2\na: 3\n",
         "3:1: a is given twice, first in line 1: keep one of them", true},
        {"key twice, quoted", "a: 1\n\"a\": 3\n",
         "2:1: a is given twice, first in line 1: keep one of them", true},
        {"key that is a list", "[a]: 1\n", "1:1: a key is a word, as in `key: value`", true},
        {"empty key", "\"\": 1\n", "1:1: a key is a word, as in `key: value`", true},
        {"line break in a value", "a: \"b\\nc\"\n",
         "1:4: line breaks and control characters are not taken in a value", true},
        {"block text", "a: |\n  b\n",
         "1:4: line breaks and control characters are not taken in a value", true},
        {"carriage return", "a: \"b\\rc\"\n",
         "1:4: line breaks and control characters are not taken in a value", true},
        {"NUL", "a: \"b\\0c\"\n",
         "1:4: line breaks and control characters are not taken in a value", true},
        {"line break in a key", "\"a\\nb\": c\n",
         "1:1: line breaks and control characters are not taken in a value", true},
        {"two documents", "a: 1\n---\nb: 2\n",
         "2:1: a second document begins here: one file is one document", false},
        {"unclosed list", "a: [1, 2\nb: 3\n",
         "2:2: not YAML: did not find expected ',' or ']' (while parsing a flow sequence that "
         "began "
         "in line 1)",
         false},
        {"tab", "a:\n\tb: 1\n",
         "2:1: not YAML: no value begins with this character; is it a tab? YAML is indented with "
         "blanks",
         false},
        {"no blank after the colon", "a:1\nb: 2\n",
         "2:2: not YAML: mapping values are not allowed in this context", false},
        {"control character in the file", "a: 1\nb: \x01\n",
         "2:4: not YAML: control characters are not allowed", false},
        {"no UTF-8", "a: 1\nb: \xff\n", "2:4: not YAML: invalid leading UTF-8 octet", false},
        {"UTF-16",
         "\xff\xfe"
         "a",
         "1:1: not YAML: invalid leading UTF-8 octet", false},
        {"too deep", "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "1:17: more than 16 levels", false},
        {"as deep as may be", "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", "", true},
    };
    char text[FINDINGS_TEXT_SIZE];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct yaml *root = parse(text_of(rows[i].body));

        findings_text(&findings, text);
        CHECK_TEXT(rows[i].row, text, rows[i].found);
        CHECK_INT(rows[i].row, root != NULL, rows[i].readable);
    }
}

static void
test_limits(void)
{
    const size_t size = YAML_SIZE_LIMIT + 1;
    char *body = malloc(size);
    char text[FINDINGS_TEXT_SIZE];

    REQUIRE(body);
    memset(body, ' ', size);
    CU_ASSERT_PTR_NOT_NULL(parse((struct text){body, YAML_SIZE_LIMIT}));
    CU_ASSERT_PTR_NULL(parse((struct text){body, size}));
    findings_text(&findings, text);
    CHECK_TEXT("size", text, "1:1: the file is larger than 1 MiB");

    const size_t items = YAML_CHILD_LIMIT + 1;

    for (size_t i = 0; i < 4 * items; i++)
        body[i] = "- a\n"[i % 4];
    CU_ASSERT_PTR_NOT_NULL(parse((struct text){body, 4 * (items - 1)}));
    CU_ASSERT_PTR_NULL(parse((struct text){body, 4 * items}));
    findings_text(&findings, text);
    CHECK_TEXT("members", text, "1025:3: more than 1024 members in one list or map");
    free(body);
}

/* The findings of a hopeless file end with a word about the rest. */
static void
test_many_findings(void)
{
    findings_free(&findings);
    findings_file(&findings, "test.yaml");
    for (int i = 0; i < FINDINGS_LIMIT + 50; i++)
        (void)finding_error(&findings, (struct mark){i + 1, 1}, "wrong");
    CHECK_INT("kept", findings.count, FINDINGS_LIMIT);
    CHECK_INT("counted", findings.error_count, FINDINGS_LIMIT + 50);
    CU_ASSERT_STRING_EQUAL(findings.at[FINDINGS_LIMIT - 2].text, "wrong");
    CU_ASSERT_STRING_EQUAL(findings.at[FINDINGS_LIMIT - 1].text,
                           "there is more; repair what stands here first");
}

static CU_TestInfo tests[] = {
    {"tree and places", test_tree},        {"kinds", test_kinds},
    {"what is refused", test_refused},     {"limits", test_limits},
    {"many findings", test_many_findings}, CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_yaml = {.pName = "yaml", .pTests = tests, .pCleanupFunc = forget};
