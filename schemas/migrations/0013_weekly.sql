-- Views for the weekly review, continued: who and what the money went to, and whom a plan stopped too
-- early.  Weeks are those of v_spend_week, and every view of spending sums to it to the nano.

-- ---- by project, feature, model and key -------------------------------------------------------------
DO $$
DECLARE
    v record;
    c record;
BEGIN
    FOR v IN SELECT * FROM (VALUES
        ('project', 'project', 'project',
         'Spend by tenant, project and week',
         'Project as it was booked: declared, as given where the tenant declares none, or unassigned'),
        ('feature', 'feature', 'feature',
         'Spend by tenant, feature and week', 'Feature; empty: the events name none'),
        ('model', 'provider, model', 'model',
         'Spend by tenant, provider, model and week', 'Model that served; empty: the events name none'),
        ('key', 'key', 'key',
         'Spend by tenant, API key and week', 'API key id; empty: what came without a key')
        ) AS x(name, parts, part, what, means) LOOP
        EXECUTE format($view$
            CREATE VIEW tripmeter.%I AS
            WITH zones AS (
                SELECT DISTINCT ON (tenant) tenant, zone FROM tripmeter.tenant_version
                ORDER BY tenant, version DESC
            )
            SELECT f.tenant,
                   date_trunc('week', f.hour AT TIME ZONE coalesce(z.zone, 'UTC'))::date AS week, %s,
                   sum(f.cost) AS cost, sum(f.charge) AS charge, sum(f.refunded) AS refunded,
                   sum(f.requests)::bigint AS requests, sum(f.attempts)::bigint AS attempts,
                   sum(f.failed)::bigint AS failed, sum(f.input_tokens)::bigint AS input_tokens,
                   sum(f.output_tokens)::bigint AS output_tokens,
                   sum(f.unpriced)::bigint AS unpriced
            FROM %s f LEFT JOIN zones z USING (tenant)
            GROUP BY f.tenant, week, %s HAVING sum(f.events) <> 0 OR sum(f.cost) <> 0$view$,
            'v_spend_week_' || v.name, v.parts,
            CASE WHEN v.name <> 'key' THEN 'tripmeter.tenant_fact' ELSE $keys$(
                -- What came without a key is all that came, less what came with one.
                SELECT tenant, hour, key, events, cost, charge, refunded, requests, attempts, failed,
                       input_tokens, output_tokens, unpriced FROM tripmeter.key_fact
                UNION ALL
                SELECT tenant, hour, '', events, cost, charge, refunded, requests, attempts, failed,
                       input_tokens, output_tokens, unpriced FROM tripmeter.tenant_fact
                UNION ALL
                SELECT tenant, hour, '', -events, -cost, -charge, -refunded, -requests, -attempts,
                       -failed, -input_tokens, -output_tokens, -unpriced FROM tripmeter.key_fact
            )$keys$ END, v.parts);
        EXECUTE format('COMMENT ON VIEW tripmeter.%I IS %L', 'v_spend_week_' || v.name,
            v.what || '; the rows of a tenant and week sum to v_spend_week');
        EXECUTE format('COMMENT ON COLUMN tripmeter.%I.%I IS %L', 'v_spend_week_' || v.name, v.part,
            v.means);
        FOR c IN
            SELECT a.attname AS name, col_description(a.attrelid, a.attnum) AS what
            FROM pg_attribute a WHERE a.attrelid = 'tripmeter.v_spend_week'::regclass
              AND a.attnum > 0 AND a.attname <> 'zone' LOOP
            EXECUTE format('COMMENT ON COLUMN tripmeter.%I.%I IS %L', 'v_spend_week_' || v.name,
                c.name, c.what);
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON COLUMN tripmeter.v_spend_week_model.provider IS 'Provider; empty: the events name none';

-- ---- plans that stop somebody too early -------------------------------------------------------------
CREATE VIEW tripmeter.v_cap_before_value AS
WITH cap AS (
    SELECT DISTINCT ON (t.tenant, t.rule, t.labels->>'project', p.period)
           t.tenant, substr(t.rule, 7) AS quota, coalesce(t.labels->>'project', '') AS project,
           t.at AS cap_at, t.restricts, t.zone, p.period, p.period_end
    FROM tripmeter.transition t
    JOIN tripmeter.period_total p
      ON p.tenant = t.tenant AND p.project = '' AND p.period_end = t.resets_at
     AND p.period = (t.labels->>'period')::timestamptz
    WHERE t.rule LIKE 'quota/%' AND 100 = ANY (t.crossed) AND t.move <> 'resolve'
      AND NOT t.labels ?| ARRAY['feature', 'model', 'api_key_id']
    ORDER BY t.tenant, t.rule, t.labels->>'project', p.period, t.at
)
SELECT date_trunc('week', c.cap_at AT TIME ZONE c.zone)::date AS week, c.tenant, c.quota, c.project,
       c.cap_at, c.restricts AS blocked, c.period, c.period_end,
       floor(100 * extract(epoch FROM c.cap_at - c.period)
             / extract(epoch FROM c.period_end - c.period))::integer AS period_percent,
       v.value_at, coalesce(v.value_at > c.cap_at, true) AS before_value
FROM cap c LEFT JOIN LATERAL (
    SELECT min(w.at) AS value_at FROM tripmeter.customer_value w WHERE w.tenant = c.tenant
) v ON true
WHERE coalesce(v.value_at > c.cap_at, true) OR c.cap_at - c.period < c.period_end - c.cap_at;
COMMENT ON VIEW tripmeter.v_cap_before_value IS 'Limits of plans and projects that were used up before the customer had reached any value (events of kind value), or in the first half of the billing period: whose plan may be too small';
COMMENT ON COLUMN tripmeter.v_cap_before_value.week IS 'Monday of the week in which it was used up, in the tenant''s zone';
COMMENT ON COLUMN tripmeter.v_cap_before_value.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.v_cap_before_value.quota IS 'Name of the quota in the plan';
COMMENT ON COLUMN tripmeter.v_cap_before_value.project IS 'Project; empty: the whole tenant';
COMMENT ON COLUMN tripmeter.v_cap_before_value.cap_at IS 'When 100 % was reached, the first time in the period';
COMMENT ON COLUMN tripmeter.v_cap_before_value.blocked IS 'Traffic was restricted then';
COMMENT ON COLUMN tripmeter.v_cap_before_value.period IS 'Start of the billing period';
COMMENT ON COLUMN tripmeter.v_cap_before_value.period_end IS 'Its end';
COMMENT ON COLUMN tripmeter.v_cap_before_value.period_percent IS 'How much of it had passed';
COMMENT ON COLUMN tripmeter.v_cap_before_value.value_at IS 'The customer''s first value event of all; NULL: none so far';
COMMENT ON COLUMN tripmeter.v_cap_before_value.before_value IS 'It came later than the limit, or not at all';
