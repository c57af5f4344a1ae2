-- Burst limits: who sent more than so many requests in 60 seconds.

CREATE TABLE tripmeter.throttle (
    tenant text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL CHECK (scope IN ('key', 'tenant', 'ip', 'feature')),
    subject text COLLATE "C" NOT NULL,
    began_at timestamptz NOT NULL,
    since_at timestamptz NOT NULL,
    until_at timestamptz NOT NULL,
    told_at timestamptz NOT NULL,
    times bigint NOT NULL,
    used bigint NOT NULL,
    most bigint NOT NULL,
    came numeric(38, 0) NOT NULL,
    came_cost numeric(38, 9) NOT NULL,
    attempts boolean NOT NULL,
    shadow boolean NOT NULL,
    alerted boolean NOT NULL,
    is_over boolean NOT NULL,
    PRIMARY KEY (tenant, scope, subject, began_at)
);
CREATE INDEX throttle_open ON tripmeter.throttle (tenant) WHERE NOT is_over;
CREATE INDEX throttle_began ON tripmeter.throttle (began_at);
COMMENT ON TABLE tripmeter.throttle IS 'Who exceeded a burst limit: a row from the first excess until there was none for 5 minutes';
COMMENT ON COLUMN tripmeter.throttle.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.throttle.scope IS 'Whose limit: key, tenant, ip, feature';
COMMENT ON COLUMN tripmeter.throttle.subject IS 'The API key, client address or feature; empty: the tenant';
COMMENT ON COLUMN tripmeter.throttle.began_at IS 'Shard time of the first excess in a row';
COMMENT ON COLUMN tripmeter.throttle.since_at IS 'Shard time of the last one';
COMMENT ON COLUMN tripmeter.throttle.until_at IS 'When the throttle ends or ended: gateways let go by themselves';
COMMENT ON COLUMN tripmeter.throttle.told_at IS 'Shard time when gateways were told last';
COMMENT ON COLUMN tripmeter.throttle.times IS 'How often it was throttled in a row';
COMMENT ON COLUMN tripmeter.throttle.used IS 'Requests (or attempts) in 60 seconds when gateways were told last';
COMMENT ON COLUMN tripmeter.throttle.most IS 'The limit they were above';
COMMENT ON COLUMN tripmeter.throttle.came IS 'Requests (or attempts) that were counted while it was throttled: calls already under way; in shadow: what would have been refused';
COMMENT ON COLUMN tripmeter.throttle.came_cost IS 'What they cost, in the tenant''s currency';
COMMENT ON COLUMN tripmeter.throttle.attempts IS 'The limit counts attempts, not requests';
COMMENT ON COLUMN tripmeter.throttle.shadow IS 'Only judged: gateways were not told';
COMMENT ON COLUMN tripmeter.throttle.alerted IS 'An alert of it is open';
COMMENT ON COLUMN tripmeter.throttle.is_over IS 'The next excess begins another row';

CREATE VIEW tripmeter.v_throttle AS
SELECT date_trunc('week', t.began_at AT TIME ZONE 'UTC')::date AS week, t.tenant, t.scope,
       t.subject, t.shadow, sum(t.times)::bigint AS times, max(t.used) AS used_most,
       sum(t.came) AS came, sum(t.came_cost) AS came_cost, max(t.until_at) AS last_until
FROM tripmeter.throttle t GROUP BY 1, 2, 3, 4, 5;
COMMENT ON VIEW tripmeter.v_throttle IS 'Who exceeded burst limits, by week; in shadow: who would have been throttled, and what that would have kept from being spent';
COMMENT ON COLUMN tripmeter.v_throttle.week IS 'Monday the week begins with (UTC)';
COMMENT ON COLUMN tripmeter.v_throttle.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.v_throttle.scope IS 'Whose limit: key, tenant, ip, feature';
COMMENT ON COLUMN tripmeter.v_throttle.subject IS 'The API key, client address or feature; empty: the tenant';
COMMENT ON COLUMN tripmeter.v_throttle.shadow IS 'The limit was only judged: gateways were not told';
COMMENT ON COLUMN tripmeter.v_throttle.times IS 'How often it was (or would have been) throttled';
COMMENT ON COLUMN tripmeter.v_throttle.used_most IS 'Most requests in 60 seconds when gateways were told';
COMMENT ON COLUMN tripmeter.v_throttle.came IS 'Requests that came meanwhile: under way already; in shadow: what would have been refused';
COMMENT ON COLUMN tripmeter.v_throttle.came_cost IS 'What they cost';
COMMENT ON COLUMN tripmeter.v_throttle.last_until IS 'End of the last throttle';

CREATE VIEW tripmeter.v_shadow AS
SELECT date_trunc('week', m.at AT TIME ZONE 'UTC')::date AS week, m.tenant,
       CASE m.tenant WHEN '*' THEN 'breaker/fleet' ELSE 'breaker/runaway' END AS rule,
       m.feature AS subject,
       count(*) FILTER (WHERE m.would_block = 0) AS times, NULL::numeric AS would_refuse,
       sum(m.would_block) AS would_block
FROM tripmeter.breaker_move m WHERE m.would GROUP BY 1, 2, 3, 4
UNION ALL
SELECT v.week, v.tenant, 'burst/' || v.scope, v.subject, v.times, v.came, v.came_cost
FROM tripmeter.v_throttle v WHERE v.shadow
UNION ALL
SELECT date_trunc('week', q.since_at AT TIME ZONE 'UTC')::date, q.tenant, 'quota/' || q.quota,
       q.project, 1, NULL, (SELECT coalesce(sum(f.cost - f.refunded), 0)
                            FROM tripmeter.tenant_fact f
                            WHERE f.tenant = q.tenant AND f.period = q.period
                              AND f.hour > q.since_at
                              AND (q.project = '' OR f.project = q.project))
-- One that blocks has a moment since when; one that is enforced told the gateways at that moment.
FROM tripmeter.quota_state q WHERE q.spent = 100 AND q.since_at >= q.period AND NOT EXISTS (
    SELECT FROM tripmeter.decision d WHERE d.tenant = q.tenant AND d.at = q.since_at
      AND d.restrictions @> jsonb_build_array(jsonb_build_object('rule', 'quota/' || q.quota)));
COMMENT ON VIEW tripmeter.v_shadow IS 'What rules in shadow (and those that `enforce off` kept silent) would have done, by week: look here before you say mode: enforce';
COMMENT ON COLUMN tripmeter.v_shadow.week IS 'Monday the week begins with (UTC)';
COMMENT ON COLUMN tripmeter.v_shadow.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.v_shadow.rule IS 'Rule, as in alerts: breaker/runaway, breaker/fleet (tenant *: of all tenants), burst/key, quota/spend';
COMMENT ON COLUMN tripmeter.v_shadow.subject IS 'The feature, API key, client address or project; empty: the tenant';
COMMENT ON COLUMN tripmeter.v_shadow.times IS 'How often it would have been cut, throttled or blocked';
COMMENT ON COLUMN tripmeter.v_shadow.would_refuse IS 'Requests that would have been refused; NULL: not counted';
COMMENT ON COLUMN tripmeter.v_shadow.would_block IS 'What was spent meanwhile, in the tenant''s currency: what enforcing would have kept from being spent. Of a quota: from the next clock hour on until the end of its period';

CREATE VIEW tripmeter.v_key_throttled AS
WITH zones AS (
    SELECT DISTINCT ON (tenant) tenant, zone FROM tripmeter.tenant_version
    ORDER BY tenant, version DESC
), throttled AS (
    SELECT t.tenant, t.subject AS key,
           date_trunc('week', t.began_at AT TIME ZONE coalesce(z.zone, 'UTC'))::date AS week,
           sum(t.times) AS times
    FROM tripmeter.throttle t LEFT JOIN zones z USING (tenant)
    WHERE t.scope = 'key' AND NOT t.shadow GROUP BY 1, 2, 3
), refused AS (
    SELECT d.tenant, d.key,
           date_trunc('week', d.at AT TIME ZONE coalesce(z.zone, 'UTC'))::date AS week,
           count(*) AS calls
    FROM tripmeter.gateway_decision d LEFT JOIN zones z USING (tenant)
    WHERE d.outcome = 'throttle' AND d.key <> '' GROUP BY 1, 2, 3
)
SELECT week, tenant, key, coalesce(t.times, 0)::bigint AS times, r.calls AS refused_calls,
       coalesce(s.attempts, 0) AS attempts, coalesce(s.attempts - s.failed, 0) AS succeeded,
       round(100.0 * (s.attempts - s.failed) / nullif(s.attempts, 0), 1) AS success_percent
FROM throttled t FULL JOIN refused r USING (tenant, key, week)
     LEFT JOIN tripmeter.v_spend_week_key s USING (tenant, key, week);
COMMENT ON VIEW tripmeter.v_key_throttled IS 'API keys that were throttled, by week, and how much of what they sent succeeded: ORDER BY times DESC, success_percent';
COMMENT ON COLUMN tripmeter.v_key_throttled.week IS 'Monday the week begins with, in the tenant''s zone';
COMMENT ON COLUMN tripmeter.v_key_throttled.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.v_key_throttled.key IS 'API key id';
COMMENT ON COLUMN tripmeter.v_key_throttled.times IS 'How often it exceeded its burst limit';
COMMENT ON COLUMN tripmeter.v_key_throttled.refused_calls IS 'Calls that gateways say they throttled; NULL: they report none';
COMMENT ON COLUMN tripmeter.v_key_throttled.attempts IS 'Attempts at a provider that were counted';
COMMENT ON COLUMN tripmeter.v_key_throttled.succeeded IS 'Of those: that did not fail';
COMMENT ON COLUMN tripmeter.v_key_throttled.success_percent IS 'Per cent of the attempts that did not fail; NULL: there were none';
