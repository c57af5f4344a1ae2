#include "cli/scenario_check.h"

void
compare_carry(const struct comparison *comparison)
{
    const struct statement *statement = comparison->statement;
    const struct value *at = statement_value(statement, "at");
    bool final = false;
    const struct carry_memory *carry =
        stage_carry(comparison->player->stage, statement->subjects[0].text,
                    statement->subjects[1].text, statement_text(statement, "project"),
                    at == NULL ? stage_time(comparison->player->stage) : at->number, &final);

    if (carry == NULL) {
        (void)finding_error(comparison->player->differences, statement->subjects[1].at,
                            "nothing of this quota is carried into or out of that period");
        return;
    }
    const bool is_money = meter_is_money(carry->meter);

    check_time(comparison, "starts", carry->start_ms);
    check_time(comparison, "ends", carry->end_ms);
    check_yes(comparison, "unlimited", carry->unlimited);
    check_amount(comparison, "base", carry->base, is_money);
    check_amount(comparison, "carry", carry->carry, is_money);
    check_yes(comparison, "closed", carry->closed);
    check_yes(comparison, "final", final);
    check_amount(comparison, "limit", carry->end.allowance, is_money);
    check_amount(comparison, "used", carry->used, is_money);
    check_amount(comparison, "unused", carry->end.unused, is_money);
    check_amount(comparison, "over", carry->end.overage, is_money);
    check_amount(comparison, "carried", carry->end.carried, is_money);
}
