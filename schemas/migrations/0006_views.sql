-- Views for the weekly review.  Weeks begin on Monday in the tenant's own zone, days in UTC as on
-- the providers' invoices; both are exact sums of facts.

CREATE VIEW tripmeter.v_spend_week AS
WITH zones AS (
    SELECT DISTINCT ON (tenant) tenant, zone FROM tripmeter.tenant_version
    ORDER BY tenant, version DESC
), local AS (
    SELECT f.*, coalesce(z.zone, 'UTC') AS zone,
           date_trunc('week', f.hour AT TIME ZONE coalesce(z.zone, 'UTC'))::date AS week
    FROM tripmeter.tenant_fact f LEFT JOIN zones z USING (tenant)
)
SELECT tenant, week, zone, sum(cost) AS cost, sum(charge) AS charge, sum(refunded) AS refunded,
       sum(requests)::bigint AS requests, sum(attempts)::bigint AS attempts,
       sum(failed)::bigint AS failed, sum(input_tokens)::bigint AS input_tokens,
       sum(output_tokens)::bigint AS output_tokens, sum(unpriced)::bigint AS unpriced
FROM local GROUP BY tenant, week, zone;
COMMENT ON VIEW tripmeter.v_spend_week IS 'Spend by tenant and week; all weeks together are the settled totals to the nano';
COMMENT ON COLUMN tripmeter.v_spend_week.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.v_spend_week.week IS 'Monday the week begins with, in that zone';
COMMENT ON COLUMN tripmeter.v_spend_week.zone IS 'The tenant''s zone as of today; UTC where its contract names none';
COMMENT ON COLUMN tripmeter.v_spend_week.cost IS 'What the providers charge, net of refunds, in units of the tenant''s currency';
COMMENT ON COLUMN tripmeter.v_spend_week.charge IS 'What the customer pays';
COMMENT ON COLUMN tripmeter.v_spend_week.refunded IS 'The refunds in cost, as a negative number';
COMMENT ON COLUMN tripmeter.v_spend_week.requests IS 'Requests';
COMMENT ON COLUMN tripmeter.v_spend_week.attempts IS 'Attempts at a provider, retries and fallbacks included';
COMMENT ON COLUMN tripmeter.v_spend_week.failed IS 'Attempts that failed';
COMMENT ON COLUMN tripmeter.v_spend_week.input_tokens IS 'Tokens in';
COMMENT ON COLUMN tripmeter.v_spend_week.output_tokens IS 'Tokens out';
COMMENT ON COLUMN tripmeter.v_spend_week.unpriced IS 'Events booked with amount 0 until they are priced: while it is not 0, cost is too low';

CREATE VIEW tripmeter.v_provider_day AS
SELECT provider, model, (hour AT TIME ZONE 'UTC')::date AS day, sum(cost) AS cost,
       sum(refunded) AS refunded, sum(requests)::bigint AS requests,
       sum(attempts)::bigint AS attempts, sum(input_tokens)::bigint AS input_tokens,
       sum(cache_read_tokens)::bigint AS cache_read_tokens,
       sum(cache_write_tokens)::bigint AS cache_write_tokens,
       sum(output_tokens)::bigint AS output_tokens, sum(unpriced)::bigint AS unpriced
FROM tripmeter.tenant_fact GROUP BY provider, model, day;
COMMENT ON VIEW tripmeter.v_provider_day IS 'Cost by provider, model and UTC day, to hold against the providers'' invoices; adds amounts of tenants of different currencies as they are';
COMMENT ON COLUMN tripmeter.v_provider_day.provider IS 'Provider; empty: the events name none';
COMMENT ON COLUMN tripmeter.v_provider_day.model IS 'Model that served; empty: the events name none';
COMMENT ON COLUMN tripmeter.v_provider_day.day IS 'UTC day';
COMMENT ON COLUMN tripmeter.v_provider_day.cost IS 'What the provider charges, net of refunds';
COMMENT ON COLUMN tripmeter.v_provider_day.refunded IS 'The refunds in cost, as a negative number';
COMMENT ON COLUMN tripmeter.v_provider_day.requests IS 'Requests';
COMMENT ON COLUMN tripmeter.v_provider_day.attempts IS 'Attempts, retries and fallbacks included';
COMMENT ON COLUMN tripmeter.v_provider_day.input_tokens IS 'Tokens in, cached ones included';
COMMENT ON COLUMN tripmeter.v_provider_day.cache_read_tokens IS 'Tokens in that were read from a cache';
COMMENT ON COLUMN tripmeter.v_provider_day.cache_write_tokens IS 'Tokens in that were written to a cache';
COMMENT ON COLUMN tripmeter.v_provider_day.output_tokens IS 'Tokens out';
COMMENT ON COLUMN tripmeter.v_provider_day.unpriced IS 'Events booked with amount 0 until they are priced';

CREATE VIEW tripmeter.v_block AS
WITH told AS (
    SELECT scope, tenant, at, id, outcome = 'block' AS blocked,
           lag(outcome = 'block') OVER (PARTITION BY scope ORDER BY at, id) AS was_blocked
    FROM tripmeter.decision WHERE scope LIKE 'tenant/%' OR scope LIKE 'project/%'
), turn AS (
    SELECT scope, tenant, at, blocked,
           lead(at) OVER (PARTITION BY scope ORDER BY at, id) AS next_at
    FROM told WHERE blocked IS DISTINCT FROM was_blocked
), block AS (
    SELECT scope, tenant, at AS since_at, next_at AS until_at,
           greatest(at, coalesce(next_at, (SELECT max(shard_time) FROM tripmeter.shard))) AS seen_at,
           tripmeter.percent_decode(nullif(split_part(scope, '/', 3), '')) AS project
    FROM turn WHERE blocked
)
SELECT b.scope, b.tenant, b.since_at, b.until_at,
       extract(epoch FROM b.seen_at - b.since_at)::bigint AS seconds,
       coalesce(r.cost, 0)::numeric(38, 9) AS rate,
       (coalesce(r.cost, 0) * extract(epoch FROM b.seen_at - b.since_at) / 3600)::numeric(38, 9)
           AS estimate
FROM block b CROSS JOIN LATERAL (
    SELECT sum(f.cost) AS cost FROM tripmeter.tenant_fact f
    WHERE f.tenant = b.tenant AND (b.project IS NULL OR f.project = b.project)
      AND f.hour >= date_trunc('hour', b.since_at, 'UTC') - interval '1 hour'
      AND f.hour < date_trunc('hour', b.since_at, 'UTC')
) r;
COMMENT ON VIEW tripmeter.v_block IS 'Every time a tenant or a project was blocked, and what that may have kept from being spent';
COMMENT ON COLUMN tripmeter.v_block.scope IS 'tenant/acme or project/acme/web';
COMMENT ON COLUMN tripmeter.v_block.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.v_block.since_at IS 'Shard time the block began';
COMMENT ON COLUMN tripmeter.v_block.until_at IS 'Shard time it ended; NULL: still blocked';
COMMENT ON COLUMN tripmeter.v_block.seconds IS 'How long, so far';
COMMENT ON COLUMN tripmeter.v_block.rate IS 'Cost in the clock hour before the block began, of what is blocked';
COMMENT ON COLUMN tripmeter.v_block.estimate IS 'rate times the time blocked: a guess, not money';

CREATE VIEW tripmeter.v_blocked AS
WITH zones AS (
    SELECT DISTINCT ON (tenant) tenant, zone FROM tripmeter.tenant_version
    ORDER BY tenant, version DESC
), said AS (
    SELECT d.tenant, date_trunc('week', d.at AT TIME ZONE coalesce(z.zone, 'UTC'))::date AS week,
           count(*) FILTER (WHERE d.outcome = 'block') AS blocked_calls,
           CASE WHEN count(*) FILTER (WHERE d.outcome = 'block') = 0 THEN 0
                ELSE sum(d.estimated_cost) FILTER (WHERE d.outcome = 'block') END AS blocked_cost
    FROM tripmeter.gateway_decision d LEFT JOIN zones z USING (tenant) GROUP BY 1, 2
), guessed AS (
    SELECT b.tenant,
           date_trunc('week', b.since_at AT TIME ZONE coalesce(z.zone, 'UTC'))::date AS week,
           sum(b.estimate) AS blocked_estimate, sum(b.seconds)::bigint AS blocked_seconds
    FROM tripmeter.v_block b LEFT JOIN zones z USING (tenant) GROUP BY 1, 2
)
SELECT tenant, week, coalesce(s.cost, 0)::numeric(38, 9) AS allowed_cost,
       coalesce(s.requests, 0) AS allowed_requests, r.blocked_cost, r.blocked_calls,
       coalesce(g.blocked_estimate, 0)::numeric(38, 9) AS blocked_estimate,
       coalesce(g.blocked_seconds, 0) AS blocked_seconds
FROM tripmeter.v_spend_week s FULL JOIN said r USING (tenant, week)
     FULL JOIN guessed g USING (tenant, week);
COMMENT ON VIEW tripmeter.v_blocked IS 'By tenant and week: what was spent, what gateways say they blocked, and an estimate beside it. Top tenants: ORDER BY blocked_cost DESC NULLS LAST, or by blocked_estimate or allowed_cost';
COMMENT ON COLUMN tripmeter.v_blocked.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.v_blocked.week IS 'Monday the week begins with, in the tenant''s zone';
COMMENT ON COLUMN tripmeter.v_blocked.allowed_cost IS 'What was spent, as in v_spend_week';
COMMENT ON COLUMN tripmeter.v_blocked.allowed_requests IS 'Requests, as in v_spend_week';
COMMENT ON COLUMN tripmeter.v_blocked.blocked_cost IS 'Estimated cost of the calls that gateways report as blocked; NULL: they report no decisions, or no cost with them';
COMMENT ON COLUMN tripmeter.v_blocked.blocked_calls IS 'Calls that gateways report as blocked; NULL: they report no decisions';
COMMENT ON COLUMN tripmeter.v_blocked.blocked_estimate IS 'Sum of v_block.estimate of the blocks that began in the week: a guess, not money';
COMMENT ON COLUMN tripmeter.v_blocked.blocked_seconds IS 'Time blocked, over all scopes of the tenant';
