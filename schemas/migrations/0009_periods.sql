-- Periods that are over: when nothing more can be booked in them, what stands then, and what comes
-- too late.  A shard says how far it has closed (shard.closed_to: every partition of it was read to
-- that time and the policy's grace longer); what every shard has closed is final for ever.

CREATE TABLE tripmeter.period_closing (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    closed_to timestamptz NOT NULL
);
INSERT INTO tripmeter.period_closing (closed_to) VALUES ('epoch');
COMMENT ON TABLE tripmeter.period_closing IS 'How far all shards have closed: one row';
COMMENT ON COLUMN tripmeter.period_closing.one IS 'There is one row';
COMMENT ON COLUMN tripmeter.period_closing.closed_to IS 'Periods that ended at or before this are final';

CREATE TABLE tripmeter.period_adjustment (
    tenant text COLLATE "C" NOT NULL,
    project text COLLATE "C" NOT NULL,
    period timestamptz NOT NULL,
    service timestamptz NOT NULL,
    service_end timestamptz NOT NULL,
    events bigint NOT NULL,
    requests bigint NOT NULL,
    attempts bigint NOT NULL,
    failed bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    images bigint NOT NULL,
    audio_ms bigint NOT NULL,
    bytes bigint NOT NULL,
    unpriced bigint NOT NULL,
    unverified bigint NOT NULL,
    estimated bigint NOT NULL,
    clamped bigint NOT NULL,
    cost numeric(38, 9) NOT NULL,
    charge numeric(38, 9) NOT NULL,
    refunded numeric(38, 9) NOT NULL,
    zero_cost bigint NOT NULL DEFAULT 0,
    estimate numeric(38, 9) NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, project, period, service),
    CHECK (service < service_end AND service_end <= period)
);
COMMENT ON TABLE tripmeter.period_adjustment IS 'Usage of final periods that came too late, booked in a later period as money: it is in that one''s facts and invoice, in none of its limits';
COMMENT ON COLUMN tripmeter.period_adjustment.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.period_adjustment.project IS 'Empty: the whole tenant; else one of its declared projects';
COMMENT ON COLUMN tripmeter.period_adjustment.period IS 'Start of the billing period it is booked in';
COMMENT ON COLUMN tripmeter.period_adjustment.service IS 'Start of the billing period it belongs to';
COMMENT ON COLUMN tripmeter.period_adjustment.service_end IS 'End of that one';
SELECT tripmeter.comment_columns('tripmeter.period_adjustment', 'tripmeter.period_total');
COMMENT ON COLUMN tripmeter.period_adjustment.period IS 'Start of the billing period it is booked in';

CREATE TABLE tripmeter.period_final (
    tenant text COLLATE "C" NOT NULL,
    period timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    final_at timestamptz NOT NULL DEFAULT now(),
    events bigint NOT NULL,
    requests bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    unpriced bigint NOT NULL,
    cost numeric(38, 9) NOT NULL,
    charge numeric(38, 9) NOT NULL,
    adjusted_cost numeric(38, 9) NOT NULL,
    adjusted_charge numeric(38, 9) NOT NULL,
    PRIMARY KEY (tenant, period)
);
CREATE INDEX period_final_end ON tripmeter.period_final (period_end);
CREATE INDEX period_total_end ON tripmeter.period_total (period_end) WHERE project = '';
COMMENT ON TABLE tripmeter.period_final IS 'Periods in which nothing will be booked any more: what may be invoiced is charge + adjusted_charge. Rows are added, never changed';
COMMENT ON COLUMN tripmeter.period_final.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.period_final.period IS 'Start of the billing period';
COMMENT ON COLUMN tripmeter.period_final.period_end IS 'Its end';
COMMENT ON COLUMN tripmeter.period_final.final_at IS 'Wall time at which it became final';
COMMENT ON COLUMN tripmeter.period_final.events IS 'Events booked in it, adjustments left out';
COMMENT ON COLUMN tripmeter.period_final.requests IS 'Requests';
COMMENT ON COLUMN tripmeter.period_final.input_tokens IS 'Tokens in';
COMMENT ON COLUMN tripmeter.period_final.output_tokens IS 'Tokens out';
COMMENT ON COLUMN tripmeter.period_final.unpriced IS 'Events among them that had no price: what they cost comes as an adjustment of a later period';
COMMENT ON COLUMN tripmeter.period_final.cost IS 'What the providers charge for its usage';
COMMENT ON COLUMN tripmeter.period_final.charge IS 'What the customer pays for its usage';
COMMENT ON COLUMN tripmeter.period_final.adjusted_cost IS 'The same for usage of earlier periods that came too late for them (period_adjustment)';
COMMENT ON COLUMN tripmeter.period_final.adjusted_charge IS 'The same for usage of earlier periods that came too late for them (period_adjustment)';

-- ---- what is carried from period to period ------------------------------------------------------
CREATE TABLE tripmeter.quota_period (
    tenant text COLLATE "C" NOT NULL,
    quota text COLLATE "C" NOT NULL,
    project text COLLATE "C" NOT NULL,
    period timestamptz NOT NULL,
    period_end timestamptz NOT NULL CHECK (period < period_end),
    meter text NOT NULL,
    base numeric(47, 9),
    carry numeric(47, 9) NOT NULL,
    total_cap numeric(47, 9),
    closed boolean NOT NULL,
    used numeric(47, 9) NOT NULL,
    allowance numeric(47, 9),
    unused numeric(47, 9) NOT NULL,
    overage numeric(47, 9) NOT NULL,
    rolls boolean NOT NULL,
    ratio numeric(7, 6) NOT NULL CHECK (ratio BETWEEN 0 AND 1),
    carry_cap numeric(47, 9),
    room numeric(47, 9),
    deducts boolean NOT NULL,
    carried numeric(47, 9) NOT NULL,
    policy bigint NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    is_final boolean NOT NULL DEFAULT false CHECK (closed OR NOT is_final),
    PRIMARY KEY (tenant, quota, project, period)
);
CREATE INDEX quota_period_open ON tripmeter.quota_period (tenant) WHERE NOT is_final;
CREATE INDEX quota_period_end ON tripmeter.quota_period (period_end) WHERE closed AND NOT is_final;
COMMENT ON TABLE tripmeter.quota_period IS 'How quotas that roll over stood in each billing period: allowance = least(base + carry, total_cap), never below 0 and never below the base for the cap; a row is written when the period begins, closed when it ends, provisional until it is final. Amounts are in the meter of the quota (money in units of the tenant''s currency)';
COMMENT ON COLUMN tripmeter.quota_period.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.quota_period.quota IS 'Name of the quota in the plan';
COMMENT ON COLUMN tripmeter.quota_period.project IS 'Project, of quotas that each project has; empty: the tenant';
COMMENT ON COLUMN tripmeter.quota_period.period IS 'Start of the billing period';
COMMENT ON COLUMN tripmeter.quota_period.period_end IS 'Its end';
COMMENT ON COLUMN tripmeter.quota_period.meter IS 'What is counted';
COMMENT ON COLUMN tripmeter.quota_period.base IS 'What plan or contract gave, without what was carried in; NULL: unlimited';
COMMENT ON COLUMN tripmeter.quota_period.carry IS 'Carried in from the period before; below 0: deducted for what was used beyond its allowance';
COMMENT ON COLUMN tripmeter.quota_period.total_cap IS 'The most that base and carry come to; NULL: no cap';
COMMENT ON COLUMN tripmeter.quota_period.closed IS 'The period has ended, and the columns from used to policy say how; before that they are 0 or NULL';
COMMENT ON COLUMN tripmeter.quota_period.used IS 'What was used';
COMMENT ON COLUMN tripmeter.quota_period.allowance IS 'What could be used; NULL: unlimited, or not closed';
COMMENT ON COLUMN tripmeter.quota_period.unused IS 'allowance - used, at least 0';
COMMENT ON COLUMN tripmeter.quota_period.overage IS 'What was used beyond base and carry';
COMMENT ON COLUMN tripmeter.quota_period.rolls IS 'The plan at the end of the period carried on; else nothing was';
COMMENT ON COLUMN tripmeter.quota_period.ratio IS 'Share of unused that was carried on, rounded down';
COMMENT ON COLUMN tripmeter.quota_period.carry_cap IS 'The most that was carried on; NULL: no cap';
COMMENT ON COLUMN tripmeter.quota_period.room IS 'What the total cap of the next period left beside its base, as agreed when this one ended; NULL: no cap';
COMMENT ON COLUMN tripmeter.quota_period.deducts IS 'Overage is deducted from the next period, else forgiven';
COMMENT ON COLUMN tripmeter.quota_period.carried IS 'Carried on: -overage where that is deducted, else least(floor(ratio * unused), carry_cap, room)';
COMMENT ON COLUMN tripmeter.quota_period.policy IS 'Serial of the policy by which it was closed; 0: not closed';
COMMENT ON COLUMN tripmeter.quota_period.changed_at IS 'When the row was last written';
COMMENT ON COLUMN tripmeter.quota_period.is_final IS 'Nothing can come late any more: the row never changes again';

-- A row of period_final is told as well, once: an episode that is over as it begins.  In statements
-- for all of them, for at the turn of a month they are many.
CREATE FUNCTION tripmeter.tell_final(
    after_ timestamptz, upto_ timestamptz, currency_ text, zone_ text
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH told AS (
        SELECT p.tenant, 'period/final' AS rule, p.period_end, p.final_at,
               p.charge + p.adjusted_charge AS charge, p.adjusted_charge, s.start,
               coalesce(c.zone, zone_, 'UTC') AS zone, coalesce(c.currency, currency_) AS currency,
               jsonb_build_object('period', s.start, 'tenant', p.tenant) AS labels,
               -- As core/alert.h has it: version, rule and sorted labels, each with a NUL behind it.
               encode(substr(sha256(
                   convert_to('v1', 'UTF8') || '\x00' || convert_to('period/final', 'UTF8') || '\x00'
                   || convert_to('period=' || s.start, 'UTF8') || '\x00'
                   || convert_to('tenant=' || p.tenant, 'UTF8') || '\x00'), 1, 8), 'hex')
                   AS fingerprint
        FROM tripmeter.period_final p
        CROSS JOIN LATERAL (SELECT to_char(p.period AT TIME ZONE 'UTC',
            'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS start) s
        LEFT JOIN LATERAL (SELECT v.zone, v.currency FROM tripmeter.tenant_version v
                           WHERE v.tenant = p.tenant ORDER BY v.version DESC LIMIT 1) c ON true
        WHERE p.period_end > after_ AND p.period_end <= upto_
    ), worded AS (
        SELECT t.*, format('its billing period from %s is final: %s%s may be invoiced%s',
            to_char(t.start::timestamptz AT TIME ZONE t.zone, 'YYYY-MM-DD'),
            t.charge, coalesce(' ' || t.currency, ''),
            CASE WHEN t.adjusted_charge = 0 THEN ''
                 ELSE format(', %s of it for earlier periods', t.adjusted_charge) END) AS summary
        FROM told t
    ), counters AS (
        INSERT INTO tripmeter.alert_counter (fingerprint, episode, seq)
        SELECT fingerprint, 1, 1 FROM worded ON CONFLICT DO NOTHING
    ), episodes AS (
        INSERT INTO tripmeter.episode (fingerprint, episode, rule, tenant, labels, severity, step,
            restricts, opened_at, changed_at, resolved_at, reason, summary)
        SELECT fingerprint, 1, rule, tenant, labels, 'info', 0, false, final_at, final_at, final_at,
               'cleared', summary
        FROM worded ON CONFLICT DO NOTHING
    )
    INSERT INTO tripmeter.transition (fingerprint, episode, seq, move, rule, tenant, labels,
        severity, at, step, crossed, value, threshold, is_money, unit, zone, resets_at, restricts,
        summary)
    SELECT fingerprint, 1, 1, 'fire', rule, tenant, labels, 'info', final_at, 0, '{}', charge,
           charge, true, currency, zone, period_end, false, summary
    FROM worded ON CONFLICT DO NOTHING
$$;
COMMENT ON FUNCTION tripmeter.tell_final IS 'Alerts (rule period/final, for webhooks) of the periods that became final and ended after the one time and not after the other; currency and zone where the contract names none';

CREATE FUNCTION tripmeter.close_periods(
    currency_ text DEFAULT NULL, zone_ text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was timestamptz;
    upto timestamptz;
    closed bigint;
BEGIN
    SELECT closed_to INTO was FROM tripmeter.period_closing FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0; -- another engine is at it
    END IF;
    IF EXISTS (SELECT FROM tripmeter.growth g WHERE g.switched_at IS NULL) THEN
        RETURN 0; -- what waits in added partitions may belong in them
    END IF;
    SELECT CASE WHEN count(*) = (SELECT max(l.partitions) FROM tripmeter.layout l)
                THEN min(s.closed_to) END INTO upto
    FROM tripmeter.shard s
    WHERE s.shard < (SELECT max(l.partitions) FROM tripmeter.layout l);
    IF upto IS NULL OR upto <= was THEN
        RETURN 0;
    END IF;
    UPDATE tripmeter.period_closing SET closed_to = upto;
    INSERT INTO tripmeter.period_final
        (tenant, period, period_end, events, requests, input_tokens, output_tokens, unpriced, cost,
         charge, adjusted_cost, adjusted_charge)
    SELECT t.tenant, t.period, t.period_end, t.events, t.requests, t.input_tokens, t.output_tokens,
           t.unpriced, t.cost, t.charge, coalesce(a.cost, 0), coalesce(a.charge, 0)
    FROM tripmeter.period_total t CROSS JOIN LATERAL (
        SELECT sum(a.cost) AS cost, sum(a.charge) AS charge FROM tripmeter.period_adjustment a
        WHERE a.tenant = t.tenant AND a.project = '' AND a.period = t.period) a
    WHERE t.project = '' AND t.period_end > was AND t.period_end <= upto;
    GET DIAGNOSTICS closed = ROW_COUNT;
    PERFORM tripmeter.tell_final(was, upto, currency_, zone_);
    -- Those too that were closed long after their end, when somebody looked at the tenant again.
    UPDATE tripmeter.quota_period q SET is_final = true
    WHERE q.closed AND NOT q.is_final AND q.period_end <= upto;
    RETURN closed;
END
$$;
COMMENT ON FUNCTION tripmeter.close_periods IS 'Makes final what every shard has closed, and tells it, in this currency and zone where the contract names none; returns how many periods. A settlement under way cannot change them: its shard has not closed what it books in';

-- ---- final periods do not change ---------------------------------------------------------------
-- Engines do not try: they know what they have closed.  This is for everybody else, and for the day
-- an engine has an error.  Moving facts to another partition changes none (function maintain).

-- A statement is looked at once, with all its rows: `changed` is its transition table.

CREATE FUNCTION tripmeter.refuse_final() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    asked record;
BEGIN
    -- Nearly always the periods begin behind what is closed, and nothing has to be looked up.
    IF NOT EXISTS (SELECT FROM changed c
                   WHERE c.period < (SELECT closed_to FROM tripmeter.period_closing))
       OR current_setting('tripmeter.moves_partitions', true) = 'on' THEN
        RETURN NULL;
    END IF;
    SELECT c.tenant, c.period INTO asked
    FROM changed c JOIN tripmeter.period_total t
         ON t.tenant = c.tenant AND t.project = '' AND t.period = c.period
    WHERE t.period_end <= (SELECT closed_to FROM tripmeter.period_closing) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%: the period of % that begins % is final', TG_TABLE_NAME, asked.tenant,
            asked.period USING ERRCODE = 'TM005',
            HINT = 'what comes now belongs in the present period, as an adjustment';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tripmeter.refuse_final IS 'Raises TM005 when a changed row belongs to a final period';

CREATE FUNCTION tripmeter.refuse_final_total() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    asked record;
BEGIN
    SELECT c.tenant, c.period INTO asked
    FROM changed c
    WHERE c.period_end <= (SELECT closed_to FROM tripmeter.period_closing) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'period_total: the period of % that begins % is final', asked.tenant,
            asked.period USING ERRCODE = 'TM005',
            HINT = 'what comes now belongs in the present period, as an adjustment';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tripmeter.refuse_final_total IS 'Raises TM005 when the period is final, whether it had a total or not';

CREATE FUNCTION tripmeter.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is never changed', TG_TABLE_NAME USING ERRCODE = 'TM005';
END
$$;
COMMENT ON FUNCTION tripmeter.refuse_change IS 'Raises TM005';

CREATE FUNCTION tripmeter.refuse_truncate() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM tripmeter.period_final) THEN
        RAISE EXCEPTION '% holds final periods', TG_TABLE_NAME USING ERRCODE = 'TM005';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tripmeter.refuse_truncate IS 'Raises TM005 once a period is final';

-- Of a statement only the table that it names is asked: partitions have these triggers of their own.
CREATE FUNCTION tripmeter.guard_final(of_table text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM (VALUES ('INSERT', 'NEW'), ('UPDATE', 'NEW'), ('DELETE', 'OLD')) v (word, rows)
    LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER %s ON tripmeter.%I
                        REFERENCING %s TABLE AS changed
                        FOR EACH STATEMENT EXECUTE FUNCTION tripmeter.refuse_final()',
                       'final_' || lower(one.word), one.word, of_table, one.rows);
    END LOOP;
    EXECUTE format('CREATE TRIGGER final_truncate BEFORE TRUNCATE ON tripmeter.%I
                    FOR EACH STATEMENT EXECUTE FUNCTION tripmeter.refuse_truncate()', of_table);
END
$$;
COMMENT ON FUNCTION tripmeter.guard_final IS 'Rows of final periods do not change in this table';

SELECT tripmeter.guard_final(t)
FROM unnest(ARRAY['tenant_fact', 'tenant_fact_default', 'key_fact', 'key_fact_default',
                  'period_adjustment']) t;
CREATE TRIGGER final_insert AFTER INSERT ON tripmeter.period_total
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION tripmeter.refuse_final_total();
CREATE TRIGGER final_update AFTER UPDATE ON tripmeter.period_total
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION tripmeter.refuse_final_total();
CREATE TRIGGER final_delete AFTER DELETE ON tripmeter.period_total
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION tripmeter.refuse_final_total();
CREATE TRIGGER final_key BEFORE UPDATE OF period, tenant ON tripmeter.tenant_fact
    FOR EACH ROW WHEN (OLD.period <> NEW.period OR OLD.tenant <> NEW.tenant)
    EXECUTE FUNCTION tripmeter.refuse_change();
CREATE TRIGGER final_key BEFORE UPDATE OF period, tenant ON tripmeter.key_fact
    FOR EACH ROW WHEN (OLD.period <> NEW.period OR OLD.tenant <> NEW.tenant)
    EXECUTE FUNCTION tripmeter.refuse_change();
CREATE TRIGGER final_end BEFORE UPDATE ON tripmeter.period_total
    FOR EACH ROW WHEN (OLD.period_end < now() AND OLD.period_end <> NEW.period_end)
    EXECUTE FUNCTION tripmeter.refuse_change();
CREATE TRIGGER final_truncate BEFORE TRUNCATE ON tripmeter.period_total
    FOR EACH STATEMENT EXECUTE FUNCTION tripmeter.refuse_truncate();
CREATE TRIGGER final_truncate BEFORE TRUNCATE ON tripmeter.period_final
    FOR EACH STATEMENT EXECUTE FUNCTION tripmeter.refuse_truncate();
CREATE TRIGGER final_truncate BEFORE TRUNCATE ON tripmeter.quota_period
    FOR EACH STATEMENT EXECUTE FUNCTION tripmeter.refuse_truncate();
CREATE TRIGGER final_truncate BEFORE TRUNCATE ON tripmeter.period_closing
    FOR EACH STATEMENT EXECUTE FUNCTION tripmeter.refuse_truncate();
-- What is closed is not opened again.
CREATE TRIGGER final_back BEFORE UPDATE ON tripmeter.period_closing
    FOR EACH ROW WHEN (NEW.closed_to < OLD.closed_to) EXECUTE FUNCTION tripmeter.refuse_change();
CREATE TRIGGER final_back_delete BEFORE DELETE ON tripmeter.period_closing
    FOR EACH ROW EXECUTE FUNCTION tripmeter.refuse_change();
CREATE TRIGGER final_change BEFORE UPDATE OR DELETE ON tripmeter.period_final
    FOR EACH ROW EXECUTE FUNCTION tripmeter.refuse_change();
CREATE TRIGGER final_change BEFORE UPDATE OR DELETE ON tripmeter.quota_period
    FOR EACH ROW WHEN (OLD.is_final) EXECUTE FUNCTION tripmeter.refuse_change();

-- ---- what a larger quota would have to be ---------------------------------------------------------
CREATE VIEW tripmeter.v_quota_increase AS
WITH ended AS (
    SELECT t.tenant, t.requests, t.attempts, t.input_tokens, t.output_tokens, t.cost, t.charge,
           row_number() OVER (PARTITION BY t.tenant ORDER BY t.period DESC) AS back
    FROM tripmeter.period_total t
    WHERE t.project = '' AND t.period_end <= (SELECT max(s.shard_time) FROM tripmeter.shard s)
), used AS (
    SELECT e.tenant, e.back, m.meter, m.amount
    FROM ended e CROSS JOIN LATERAL (VALUES ('requests', e.requests::numeric),
        ('attempts', e.attempts), ('input_tokens', e.input_tokens),
        ('output_tokens', e.output_tokens), ('tokens', e.input_tokens + e.output_tokens),
        ('cost', e.cost), ('charge', e.charge)) AS m(meter, amount)
    WHERE e.back <= 4
), pack AS (
    SELECT tenant, meter, count(*) AS periods, avg(amount) AS average,
           coalesce(max(amount) FILTER (WHERE back = 1)
                    / nullif(avg(amount) FILTER (WHERE back > 1), 0) - 1, 0) AS growth
    FROM used GROUP BY tenant, meter
)
SELECT tenant, meter, periods, average::numeric(38, 9) AS average,
       growth::numeric(20, 4) AS growth,
       (average * (1 + growth) * 1.5)::numeric(38, 9) AS need
FROM pack;
COMMENT ON VIEW tripmeter.v_quota_increase IS 'What a tenant that asks for more would need, from its last four billing periods that are over';
COMMENT ON COLUMN tripmeter.v_quota_increase.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.v_quota_increase.meter IS 'Meter, as quotas name it: requests, tokens, cost, ...';
COMMENT ON COLUMN tripmeter.v_quota_increase.periods IS 'How many periods it is made of: 1 to 4';
COMMENT ON COLUMN tripmeter.v_quota_increase.average IS 'Use in a period; money in units of the tenant''s currency';
COMMENT ON COLUMN tripmeter.v_quota_increase.growth IS 'Of the last period over the average of those before: 0.1 is a tenth more; 0 when there are none';
COMMENT ON COLUMN tripmeter.v_quota_increase.need IS 'average * (1 + growth) * 1.5';
