/* Protects: what is carried from period to period, to the unit (SEMANTICS 4, Rollover). */
#include "core/rollover.h"
#include "tests/check.h"

#include <stdint.h>

#define M   ((tally)1000000)
#define NOT ROLLOVER_NO_CAP

static void
test_golden(void)
{
    const struct rollover rule = {
        .on = true, .ratio = ROLLOVER_WHOLE, .carry_cap = NOT, .total_cap = 10 * M};
    const tally room = rollover_room(5 * M, rule.total_cap);
    struct rollover_end end = rollover_close(&rule, 5 * M, 0, 10 * M, 3 * M / 2, room);

    CHECK_INT("C'", end.carried, 3500000);
    CHECK_INT("E'", rollover_allowance(5 * M, end.carried, 10 * M), 8500000);
    end = rollover_close(&rule, 5 * M, end.carried, 10 * M, 0, room);
    CHECK_INT("unused", end.unused, 8500000);
    CHECK_INT("C''", end.carried, 5 * M);
    CHECK_INT("E''", rollover_allowance(5 * M, end.carried, 10 * M), 10 * M);
}

static void
test_table(void)
{
    static const struct {
        const char *row;
        int32_t ratio;
        bool deducts;
        int64_t carry_cap; /* -1: none */
        int64_t total_cap;
        int64_t base, carry, used;
        int64_t room;
        int64_t allowance, unused, overage, carried;
    } rows[] = {
        {"nothing used", 1000000, false, -1, -1, 100, 0, 0, 1000, 100, 100, 0, 100},
        {"all of it used", 1000000, false, -1, -1, 100, 20, 120, 1000, 120, 0, 0, 0},
        {"one unit left", 1000000, false, -1, -1, 100, 20, 119, 1000, 120, 1, 0, 1},
        {"half, rounded down", 500000, false, -1, -1, 100, 0, 1, 1000, 100, 99, 0, 49},
        {"a third of a unit", 333333, false, -1, -1, 3, 0, 0, 1000, 3, 3, 0, 0},
        {"nothing by the ratio", 0, false, -1, -1, 100, 0, 0, 1000, 100, 100, 0, 0},
        {"the carry cap", 1000000, false, 30, -1, 100, 0, 0, 1000, 100, 100, 0, 30},
        {"room in the next one", 1000000, false, 30, -1, 100, 0, 0, 20, 100, 100, 0, 20},
        {"the next one has no room", 1000000, false, -1, 100, 100, 0, 0, 0, 100, 100, 0, 0},
        {"the total cap", 1000000, false, -1, 150, 100, 80, 10, 50, 150, 140, 0, 50},
        {"a base above the cap", 1000000, false, -1, 50, 100, 0, 40, 0, 100, 60, 0, 0},
        {"a base above the cap, and a carry", 1000000, false, -1, 50, 100, 9, 0, 0, 100, 100, 0, 0},
        {"forgiven", 1000000, false, -1, -1, 100, 0, 130, 1000, 100, 0, 30, 0},
        {"deducted", 1000000, true, -1, -1, 100, 0, 130, 1000, 100, 0, 30, -30},
        {"deducted whatever the caps", 500000, true, 10, 100, 100, 0, 130, 0, 100, 0, 30, -30},
        {"a debt that leaves a rest", 1000000, true, -1, -1, 100, -30, 60, 1000, 70, 10, 0, 10},
        {"a debt above the base", 1000000, true, -1, -1, 100, -130, 0, 1000, 0, 0, 30, -30},
        {"and more used on top of it", 1000000, true, -1, -1, 100, -130, 5, 1000, 0, 0, 35, -35},
        {"a limit of nothing", 1000000, false, -1, -1, 0, 0, 0, 1000, 0, 0, 0, 0},
        {"a limit of nothing and a carry", 1000000, false, -1, -1, 0, 7, 2, 1000, 7, 5, 0, 5},
        {"refunded below nothing", 1000000, false, -1, 120, 100, 0, -5, 20, 100, 105, 0, 20},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const tally carry_cap = rows[i].carry_cap < 0 ? NOT : rows[i].carry_cap;
        const tally total_cap = rows[i].total_cap < 0 ? NOT : rows[i].total_cap;
        const struct rollover rule = {.on = true,
                                      .deducts = rows[i].deducts,
                                      .ratio = rows[i].ratio,
                                      .carry_cap = carry_cap,
                                      .total_cap = total_cap};
        const struct rollover_end end = rollover_close(&rule, rows[i].base, rows[i].carry,
                                                       total_cap, rows[i].used, rows[i].room);

        CHECK_INT(rows[i].row, end.allowance, rows[i].allowance);
        CHECK_INT(rows[i].row, end.unused, rows[i].unused);
        CHECK_INT(rows[i].row, end.overage, rows[i].overage);
        CHECK_INT(rows[i].row, end.carried, rows[i].carried);
    }
}

static void
test_off(void)
{
    const struct rollover off = {.deducts = true, .ratio = ROLLOVER_WHOLE, .carry_cap = NOT};
    const struct rollover_end end = rollover_close(&off, 100, 20, NOT, 10, NOT);

    CHECK_INT("what was carried in still counts", end.allowance, 120);
    CHECK_INT("nothing is carried on", end.carried, 0);
    CHECK_INT("nothing is deducted", rollover_close(&off, 100, 0, NOT, 130, NOT).carried, 0);
}

/* ---- against a model that knows no formula ---------------------------------------------------- */

static uint64_t random_state = 20261121;

static int64_t
random_below(int64_t limit)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)(random_state >> 33) % limit;
}

struct model {
    int64_t base, carry, owed; /* units to give; owed of the base before any is given */
    int64_t unused, overage;
};

/* Units are burnt one by one, of the carry first; a cap takes units off the carry beforehand. */
static void
model_use(struct model *model, int64_t total_cap, int64_t used)
{
    while (model->owed > 0 && model->base > 0) {
        model->owed--;
        model->base--;
    }
    while (model->carry > 0 && model->base + model->carry > total_cap)
        model->carry--;
    model->overage = model->owed;
    for (int64_t i = 0; i < used; i++)
        if (model->carry > 0)
            model->carry--;
        else if (model->base > 0)
            model->base--;
        else
            model->overage++;
    model->unused = model->carry + model->base;
}

/* Every unused unit gives its share; a whole one is carried while every cap lets it. */
static int64_t
model_carry(const struct model *model, int64_t ratio, int64_t carry_cap, int64_t room)
{
    int64_t shares = 0;
    int64_t carried = 0;

    for (int64_t i = 0; i < model->unused; i++) {
        shares += ratio;
        if (shares < ROLLOVER_WHOLE)
            continue;
        shares -= ROLLOVER_WHOLE;
        if (carried < carry_cap && carried < room)
            carried++;
    }
    return carried;
}

/* Chains of periods with random rules and use; the same in large units too, where shares are whole. */
static void
test_model(void)
{
    const tally large = (tally)INT64_MAX * 1000;

    for (int chain = 0; chain < 4000; chain++) {
        const int64_t ratio = chain % 2 == 0 ? random_below(ROLLOVER_WHOLE + 1) : ROLLOVER_WHOLE;
        const int64_t base = random_below(60);
        const int64_t total_cap = base + random_below(60);
        const int64_t carry_cap = random_below(60);
        const struct rollover rule = {.on = true,
                                      .deducts = chain % 3 == 0,
                                      .ratio = (int32_t)ratio,
                                      .carry_cap = carry_cap,
                                      .total_cap = total_cap};
        const struct rollover big = {.on = true,
                                     .deducts = rule.deducts,
                                     .ratio = ROLLOVER_WHOLE,
                                     .carry_cap = carry_cap * large,
                                     .total_cap = total_cap * large};
        int64_t carry = 0;

        for (int period = 0; period < 12; period++) {
            const int64_t used = random_below(2 * base + 10);
            struct model model = {
                .base = base, .carry = carry > 0 ? carry : 0, .owed = carry < 0 ? -carry : 0};
            const struct rollover_end end =
                rollover_close(&rule, base, carry, total_cap, used, rollover_room(base, total_cap));
            const struct rollover_end huge =
                rollover_close(&big, base * large, carry * large, total_cap * large, used * large,
                               rollover_room(base * large, total_cap * large));

            model_use(&model, total_cap, used);
            int64_t carried = model_carry(&model, ratio, carry_cap, total_cap - base);

            if (rule.deducts && model.overage > 0)
                carried = -model.overage;
            if (end.unused != model.unused || end.overage != model.overage ||
                end.carried != carried ||
                (ratio == ROLLOVER_WHOLE && huge.carried != carried * large)) {
                CHECK_INT("unused", end.unused, model.unused);
                CHECK_INT("overage", end.overage, model.overage);
                CHECK_INT("carried", end.carried, carried);
                CU_FAIL_FATAL("the model differs");
            }
            carry = carried;
        }
    }
}

static CU_TestInfo tests[] = {
    {"golden numbers", test_golden},
    {"edges", test_table},
    {"no rollover any more", test_off},
    {"a model that counts units", test_model},
    CU_TEST_INFO_NULL,
};

const CU_SuiteInfo suite_rollover = {.pName = "rollover", .pTests = tests};
