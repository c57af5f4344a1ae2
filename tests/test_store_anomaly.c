/* Protects: series come back from Postgres as they were settled, also beside rows of a version that is
 * not known; what is noted of one incident is one row. */
#include "tests/check.h"
#include "tests/store_db.h"

#include <assert.h>
#include <stddef.h>

static struct db db;

/* To the bit: what is unused in them is zero. */
static bool
same(const void *a, const void *b, size_t size)
{
    return memcmp(a, b, size) == 0;
}

/* What was loaded. */
static struct {
    size_t count;
    char feature[4][16];
    struct watch watch[4];
    size_t reservations;
    char said[256]; /* of them: id, state, minutes until it is due, cost, feature, currency */
} loaded;

static void
hear(void *context, const struct tenant_load *load)
{
    (void)context;
    loaded.count = load->watch_count;
    for (size_t i = 0; i < load->watch_count && i < 4; i++) {
        (void)text_copy(loaded.feature[i], sizeof loaded.feature[i], load->watches[i].feature);
        loaded.watch[i] = load->watches[i].watch;
    }
    loaded.reservations = load->reservation_count;
    for (size_t i = 0; i < load->reservation_count; i++) {
        const struct reservation_memory *row = &load->reservations[i];
        char money[TALLY_TEXT_SIZE];
        const size_t size = strlen(loaded.said);

        (void)snprintf(loaded.said + size, sizeof loaded.said - size, "%.*s %d %d %s %.*s %.*s, ",
                       (int)row->id.size, row->id.at, (int)row->state,
                       (int)((row->due_ms - DB_HOUR_MS) / CLOCK_MINUTE_MS),
                       row->has_cost ? tally_format_short(row->cost.nano, 2, money) : "-",
                       (int)row->feature.size, row->feature.at, (int)row->currency.size,
                       row->currency.at);
    }
}

static void
load(void)
{
    const struct text names[] = {TEXT("acme")};
    const struct load_query query = {
        .shard = 3, .after_ms = DB_HOUR_MS, .features = true, .names = names, .count = 1};

    memset(&loaded, 0, sizeof loaded);
    db_load(&db, &query, hear, NULL);
}

/* A day of 30 calls a slot, at these nano-units each. */
static struct watch
make(int64_t cost)
{
    const struct slot slot = {.cost = (tally)30 * cost, .requests = 30, .attempts = 30};
    struct watch_usage usage = {.sums = {0}};
    struct watch_window window;
    struct watch watch;

    watch_usage_add(&usage, &slot);
    watch_begin(&watch, DB_HOUR_MS - CLOCK_DAY_MS);
    for (int i = 0; i < 288; i++)
        (void)watch_take(&watch, &usage, &window);
    return watch;
}

static void
add(const char *tenant, const char *feature, const struct watch *watch)
{
    struct watch_memory *row = list_add(&db.open->watches);

    assert(row != NULL);
    *row = (struct watch_memory){
        .tenant = text_of(tenant), .feature = text_of(feature), .watch = *watch};
}

static void
test_series(void)
{
    const struct watch cheap = make(MONEY_NANO_PER_UNIT / 100);
    const struct watch dear = make(MONEY_NANO_PER_UNIT);

    db_begin(&db);
    db_open_shard(&db, 3);
    add("acme", "search", &cheap);
    add("acme", "", &cheap);
    add("other", "", &cheap);
    db_settle_open(&db);
    add("acme", "search", &dear);
    db_settle_open(&db);
    load();
    CHECK_INT("watches", loaded.count, 2);
    CHECK_INT("the tenant's own first", strcmp(loaded.feature[0], ""), 0);
    CHECK_INT("as it was", same(&loaded.watch[0], &cheap, sizeof cheap), true);
    CHECK_INT("the feature's", strcmp(loaded.feature[1], "search"), 0);
    CHECK_INT("the later one", same(&loaded.watch[1], &dear, sizeof dear), true);
    CHECK_SQL(&db,
              "SELECT windows || ' ' || width || ' ' || round(high, 2) || ' ' || round(usual, 2)"
              " FROM tripmeter.anomaly_series WHERE feature = 'search' AND metric = 'cost'",
              "288 00:05:00 30.00 30.00");
    CHECK_SQL(&db,
              "SELECT array_length(h, 1) || ' ' || round(h[1]::numeric, 4) || ' ' ||"
              " round(h[24]::numeric, 4) FROM (SELECT tripmeter.anomaly_hours(state) AS h"
              " FROM tripmeter.anomaly_series WHERE feature = '' AND metric = 'cost'"
              " AND tenant = 'acme') x",
              "24 0.3000 0.3000");
    CHECK_SQL(&db, "SELECT max(length(state)) <= 512 FROM tripmeter.anomaly_series", "t");
    /* As a newer version may have left it. */
    db_run(&db, "UPDATE tripmeter.anomaly_series SET state = set_byte(state, 0, 9)"
                " WHERE feature = 'search' AND metric = 'tokens'");
    load();
    CHECK_INT("begins anew", loaded.count, 1);
    db_end(&db);
}

static void
note(const char *feature, enum watch_tier tier, bool over, const char *words, const char *folded)
{
    struct anomaly_note *row = list_add(&db.open->notes);

    assert(row != NULL);
    *row = (struct anomaly_note){.tenant = TEXT("acme"),
                                 .feature = text_of(feature),
                                 .metric = WATCH_COST,
                                 .since_ms = DB_HOUR_MS,
                                 .at_ms = DB_HOUR_MS + CLOCK_HOUR_MS,
                                 .width_ms = SLOT_MS,
                                 .tier = tier,
                                 .over = over,
                                 .records = words != NULL,
                                 .score = 3,
                                 .value = 12,
                                 .usual = 4,
                                 .excess = -8,
                                 .day = 32,
                                 .words = text_of(words),
                                 .folded = text_of(folded)};
    row->before[0].high = words == NULL ? 0 : (float)strlen(words);
}

/* Where tripmeter.anomaly_hours reads. */
_Static_assert(8 + offsetof(struct series, detector) + offsetof(struct detector, usual) == 68,
               "the hours");
_Static_assert(8 + offsetof(struct series, detector) + offsetof(struct detector, usual_count) ==
                   164,
               "what is behind them");

static void
test_notes(void)
{
    db_begin(&db);
    db_open_shard(&db, 3);
    note("search", WATCH_NOTE, false, "highest", NULL);
    note("", WATCH_NOTE, false, "tenant", NULL);
    note("search", WATCH_TICKET, false, NULL, NULL);
    db_settle_open(&db);
    note("search", WATCH_PAGE, false, "higher still", NULL);
    note("", WATCH_TICKET, false, NULL, "search");
    db_settle_open(&db);
    note("search", WATCH_PAGE, true, NULL, NULL);
    db_settle_open(&db);
    CHECK_SQL(&db,
              "SELECT feature || ':' || tier || ' ' || records || ' ' || words || ' ' ||"
              " coalesce(folded_into, '-') || ' ' || (over_at IS NOT NULL) || ' ' ||"
              " length(before) FROM tripmeter.anomaly ORDER BY feature",
              ":ticket 1 tenant search false 72 search:page 2 higher still - true 72");
    CHECK_SQL(&db,
              "SELECT ratio || ' ' || percent_of_day || ' ' || week FROM tripmeter.v_anomaly_week"
              " WHERE feature = 'search'",
              "3.0 -25 2026-02-23");
    /* The records before are those before the first one: little-endian 7 as a float. */
    CHECK_SQL(&db,
              "SELECT encode(substring(before FROM 5 FOR 4), 'hex') FROM tripmeter.anomaly"
              " WHERE feature = 'search'",
              "0000e040");
    db_end(&db);
}

static void
hold(const char *id, enum reservation_state state, int minutes)
{
    struct reservation_memory *row = list_add(&db.open->reservations);

    assert(row != NULL);
    *row = (struct reservation_memory){.tenant = TEXT("acme"),
                                       .id = text_of(id),
                                       .feature = TEXT("search"),
                                       .currency = TEXT("USD"),
                                       .state = state,
                                       .made_ms = DB_HOUR_MS + minutes * CLOCK_MINUTE_MS,
                                       .due_ms = DB_HOUR_MS + CLOCK_HOUR_MS,
                                       .at_ms = DB_HOUR_MS,
                                       .has_cost = state != RESERVATION_EARLY,
                                       .cost = {15 * MONEY_NANO_PER_UNIT / 10}};
}

/* What is over in time leaves nothing; what is late stays to be seen. */
static void
test_reservations(void)
{
    db_begin(&db);
    db_open_shard(&db, 3);
    hold("b", RESERVATION_OPEN, 2);
    hold("a", RESERVATION_OPEN, 1);
    hold("c", RESERVATION_EARLY, 3);
    hold("d", RESERVATION_OPEN, 4);
    hold("d", RESERVATION_GONE, 4);
    db_settle_open(&db);
    load();
    CHECK_INT("loaded", loaded.reservations, 3);
    CU_ASSERT_STRING_EQUAL(loaded.said, "a 0 60 1.50 search USD, b 0 60 1.50 search USD, "
                                        "c 2 60 - search USD, ");
    hold("a", RESERVATION_GONE, 1);
    hold("b", RESERVATION_LATE, 2);
    db_settle_open(&db);
    CHECK_SQL(&db,
              "SELECT id || ' ' || state || ' ' || round(cost, 2) || ' ' || (over_at IS NULL)"
              " FROM tripmeter.v_reservation_unsettled",
              "b late 1.50 true");
    hold("b", RESERVATION_SETTLED, 2);
    hold("c", RESERVATION_GONE, 3);
    db_settle_open(&db);
    load();
    CHECK_INT("none is open", loaded.reservations, 0);
    CHECK_SQL(&db,
              "SELECT id || ' ' || state || ' ' || week || ' ' || (over_at = state_at)"
              " FROM tripmeter.v_reservation_unsettled JOIN tripmeter.reservation"
              " USING (tenant, id, state)",
              "b settled 2026-02-23 true");
    db_end(&db);
}

/* What is erased leaves no row, unless it came back. */
static void
test_erased(void)
{
    const struct watch watch = make(MONEY_NANO_PER_UNIT);

    db_begin(&db);
    db_open_shard(&db, 3);
    add("acme", "search", &watch);
    add("acme", "", &watch);
    db_settle_open(&db);
    add("acme", "search", &watch);
    ((struct watch_memory *)list_at(&db.open->watches, 0))->gone = true;
    add("acme", "", &watch);
    ((struct watch_memory *)list_at(&db.open->watches, 1))->gone = true;
    add("acme", "", &watch);
    db_settle_open(&db);
    load();
    CHECK_INT("the tenant's own came back", loaded.count, 1);
    CHECK_SQL(&db, "SELECT count(*) FROM tripmeter.anomaly_series", "6");
    db_end(&db);
}

/* By the shards' clock, where that is behind. */
static void
test_kept(void)
{
    const struct watch watch = make(MONEY_NANO_PER_UNIT);

    db_begin(&db);
    db_open_shard(&db, 3);
    add("acme", "", &watch);
    note("noted", WATCH_NOTE, true, "highest", NULL);
    note("paged", WATCH_PAGE, true, "highest", NULL);
    note("goes_on", WATCH_NOTE, false, "highest", NULL);
    hold("open", RESERVATION_OPEN, 0);
    hold("late", RESERVATION_LATE, 0);
    hold("over", RESERVATION_SETTLED, 0);
    db_settle_open(&db);
#define KEPT                                                                                    \
    "SELECT string_agg(what, ' ' ORDER BY what) FROM (SELECT feature AS what FROM"              \
    " tripmeter.anomaly UNION ALL SELECT id FROM tripmeter.reservation UNION ALL SELECT metric" \
    " FROM tripmeter.anomaly_series WHERE metric = 'cost') x"
    db_run(&db, "UPDATE tripmeter.shard SET shard_time = '2026-03-01Z'");
    db_run(&db, "SELECT tripmeter.maintain(0, NULL, false, '2030-01-01Z')");
    CHECK_SQL(&db, KEPT, "cost goes_on late noted open over paged");
    db_run(&db, "UPDATE tripmeter.shard SET shard_time = '2030-01-01Z'");
    db_run(&db, "SELECT tripmeter.maintain(0, NULL, false, '2026-05-30 00:00Z')");
    CHECK_SQL(&db, KEPT, "cost goes_on late noted open over paged");
    db_run(&db, "SELECT tripmeter.maintain(0, NULL, false, '2026-05-30 02:00Z')");
    CHECK_SQL(&db, KEPT, "cost late open paged");
    db_run(&db, "SELECT tripmeter.maintain(0, NULL, false, '2026-06-29 00:00Z')");
    CHECK_SQL(&db, KEPT, "cost late open paged");
    db_run(&db, "SELECT tripmeter.maintain(0, NULL, false, '2026-06-29 00:01Z')");
    CHECK_SQL(&db, KEPT, "late open paged");
    db_run(&db, "SELECT tripmeter.maintain(0, NULL, false, '2027-04-06Z')");
    CHECK_SQL(&db, KEPT, "late open");
    db_end(&db);
}

/* key_fact and tenant_fact have no defaults: what is not named is 0. */
static void
test_views(void)
{
    db_begin(&db);
    db_open_shard(&db, 3);
    db_run(&db, "DO $$ DECLARE c text; t text; BEGIN FOR t, c IN SELECT table_name, column_name"
                " FROM information_schema.columns WHERE table_schema = 'tripmeter' AND table_name"
                " IN ('key_fact', 'tenant_fact') AND data_type IN ('bigint', 'numeric') LOOP"
                " EXECUTE format('ALTER TABLE tripmeter.%I ALTER %I SET DEFAULT 0', t, c);"
                " END LOOP; END $$");
    db_run(&db, "INSERT INTO tripmeter.key_fact (tenant, key, hour, period, cost)"
                " SELECT 'acme', k, '2026-03-02 10:00Z', '2026-03-01Z', c FROM (VALUES"
                " ('a', 1), ('b', 2), ('c', 4), ('d', 2), ('e', 4.5)) v(k, c)");
    db_run(&db, "INSERT INTO tripmeter.key_fact (tenant, key, hour, period, cost) VALUES"
                " ('two', 'a', '2026-03-02 10:00Z', '2026-03-01Z', 1),"
                " ('two', 'b', '2026-03-02 10:00Z', '2026-03-01Z', 9)");
    CHECK_SQL(&db, "SELECT tenant || '/' || key || ' ' || ratio FROM tripmeter.v_key_unusual",
              "acme/e 2.3");
    db_run(&db,
           "INSERT INTO tripmeter.tenant_fact (tenant, project, feature, provider, model, hour,"
           " period, cost, charge) SELECT 'acme', 'p', 'f', 'openai', m, '2026-03-02 10:00Z',"
           " '2026-03-01Z', cost, charge FROM (VALUES ('gain', 5, 6), ('even', 5, 5),"
           " ('loss', 5, 4.5)) v(m, cost, charge)");
    CHECK_SQL(&db,
              "SELECT week || ' ' || model || ' ' || round(margin, 2)"
              " FROM tripmeter.v_negative_margin",
              "2026-03-02 loss -0.50");
    db_end(&db);
}

/* Of those that spent most within an hour, but for incidents of the week; tenants as a whole, too. */
static void
test_known(void)
{
    db_begin(&db);
    db_run(&db, "INSERT INTO tripmeter.anomaly_series SELECT 'acme', f, m, '\\x00', now(),"
                " '5 minutes', 288, 0.5, 7.5, 2, 9 FROM unnest(ARRAY['', 'chat', 'search', 'old'])"
                " f, unnest(ARRAY['cost', 'tokens']) m");
    db_run(&db, "INSERT INTO tripmeter.feature_slot SELECT t, f, p, now() - a * interval"
                " '5 minutes', c, c, 1, 1, 1, 0, 1, 1 FROM (VALUES ('acme', 'search', 1, 0, 90),"
                " ('acme', 'chat', 1, 0, 5.5), ('acme', 'chat', 2, 1, 2), ('acme', '', 1, 0, 1),"
                " ('acme', 'old', 1, 20, 99), ('acme', 'unfollowed', 1, 0, 1), ('*', 'chat', 1, 0,"
                " 99)) v(t, f, p, a, c)");
    db_run(&db, "INSERT INTO tripmeter.anomaly (tenant, feature, metric, since_at, noticed_at,"
                " width, tier, records, score, value, usual, excess, usual_day, before,"
                " folded_into) SELECT 'acme', f, 'cost', now(), now(), '5 minutes', 'note', 1, 1,"
                " 1, 1, 1, 1, '\\x00', i FROM (VALUES ('search', NULL), ('chat', 'incident'))"
                " v(f, i)");
    CHECK_SQL(&db,
              "SELECT feature || '/' || metric, spent, seconds, high FROM"
              " tripmeter.anomaly_known()",
              "/cost 99.50 300 7.5 chat/cost 7.50 300 7.5");
    db_end(&db);
}

static CU_TestInfo tests[] = {{"views", test_views}, {"series", test_series},
                              {"notes", test_notes}, {"reservations", test_reservations},
                              {"known", test_known}, {"erased", test_erased},
                              {"kept", test_kept},   CU_TEST_INFO_NULL};

const CU_SuiteInfo suite_store_anomaly = {.pName = "store_anomaly", .pTests = tests};
