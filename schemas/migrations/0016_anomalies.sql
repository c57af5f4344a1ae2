-- Anomalies: what the detector knows of each series of a tenant and of its features, and every incident
-- it spoke of.  Rows exist only where the policy has anomalies.  Values are what they are in the
-- metric: units of the tenant's currency, requests, tokens, or a ratio.

CREATE TABLE tripmeter.anomaly_series (
    tenant text COLLATE "C" NOT NULL,
    feature text COLLATE "C" NOT NULL,
    metric text COLLATE "C" NOT NULL CHECK (metric IN ('cost', 'requests', 'tokens',
                                                       'cost_per_request', 'output_per_request',
                                                       'fallback_share')),
    state bytea NOT NULL CHECK (length(state) <= 512),
    taken_at timestamptz NOT NULL,
    width interval NOT NULL,
    windows bigint NOT NULL,
    low numeric(38, 9) NOT NULL,
    high numeric(38, 9) NOT NULL,
    usual numeric(38, 9) NOT NULL,
    threshold numeric(38, 9) NOT NULL,
    PRIMARY KEY (tenant, feature, metric)
);
COMMENT ON TABLE tripmeter.anomaly_series IS 'What the detector knows of a series; empty windows after the last usage are not written';
COMMENT ON COLUMN tripmeter.anomaly_series.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.anomaly_series.feature IS 'Feature; empty: all of the tenant';
COMMENT ON COLUMN tripmeter.anomaly_series.metric IS 'cost, requests and tokens of a window; ratios in windows of 20 requests and more';
COMMENT ON COLUMN tripmeter.anomaly_series.state IS 'The engine''s own (core/watch.h); its first byte is the version of its form';
COMMENT ON COLUMN tripmeter.anomaly_series.taken_at IS 'Usage before this is in it';
COMMENT ON COLUMN tripmeter.anomaly_series.width IS 'Of a window: five minutes, an hour or a day, by how much is used';
COMMENT ON COLUMN tripmeter.anomaly_series.windows IS 'Windows behind it; it speaks from 108 of them and two days on';
COMMENT ON COLUMN tripmeter.anomaly_series.low IS 'Lowest value of a window, as the detector remembers it: a record fades slowly';
COMMENT ON COLUMN tripmeter.anomaly_series.high IS 'Highest value, likewise';
COMMENT ON COLUMN tripmeter.anomaly_series.usual IS 'What is usual at this hour of day (UTC)';
COMMENT ON COLUMN tripmeter.anomaly_series.threshold IS 'A window above this is noted at once; one below it may be, for what it adds to';

CREATE TABLE tripmeter.anomaly (
    tenant text COLLATE "C" NOT NULL,
    feature text COLLATE "C" NOT NULL,
    metric text COLLATE "C" NOT NULL,
    since_at timestamptz NOT NULL,
    noticed_at timestamptz NOT NULL,
    width interval NOT NULL,
    tier text NOT NULL CHECK (tier IN ('note', 'ticket', 'page')),
    over_at timestamptz,
    records integer NOT NULL,
    score numeric(38, 9) NOT NULL,
    value numeric(38, 9) NOT NULL,
    usual numeric(38, 9) NOT NULL,
    excess numeric(38, 9) NOT NULL,
    usual_day numeric(38, 9) NOT NULL,
    words text,
    folded_into text,
    before bytea NOT NULL,
    answer text CHECK (answer IN ('real', 'planned', 'normal')),
    actor text,
    reason text,
    PRIMARY KEY (tenant, feature, metric, since_at)
);
CREATE INDEX anomaly_noticed ON tripmeter.anomaly (noticed_at);
COMMENT ON TABLE tripmeter.anomaly IS 'Incidents: series that broke their records, from the first record until nothing more followed';
COMMENT ON COLUMN tripmeter.anomaly.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.anomaly.feature IS 'Feature; empty: all of the tenant';
COMMENT ON COLUMN tripmeter.anomaly.metric IS 'As in anomaly_series';
COMMENT ON COLUMN tripmeter.anomaly.since_at IS 'Start of the first window that broke a record';
COMMENT ON COLUMN tripmeter.anomaly.noticed_at IS 'When that was noticed';
COMMENT ON COLUMN tripmeter.anomaly.width IS 'Of a window';
COMMENT ON COLUMN tripmeter.anomaly.tier IS 'The highest it reached: note (this row only), ticket (an alert: a tenth of a usual day''s cost), page (a quarter)';
COMMENT ON COLUMN tripmeter.anomaly.over_at IS 'When nothing more had followed; NULL: it goes on';
COMMENT ON COLUMN tripmeter.anomaly.records IS 'Windows that broke a record';
COMMENT ON COLUMN tripmeter.anomaly.score IS 'Of the worst: how far, 1 is worth a note';
COMMENT ON COLUMN tripmeter.anomaly.value IS 'The worst window''s value';
COMMENT ON COLUMN tripmeter.anomaly.usual IS 'What was usual at its hour';
COMMENT ON COLUMN tripmeter.anomaly.excess IS 'Money spent beyond the usual (negative: below), fading by 3 % a window, as last noted';
COMMENT ON COLUMN tripmeter.anomaly.usual_day IS 'What a usual day costs';
COMMENT ON COLUMN tripmeter.anomaly.words IS 'What it was, in words';
COMMENT ON COLUMN tripmeter.anomaly.folded_into IS 'Who speaks for it: a feature, another metric of the same series, or incident (more than three pages in six hours); NULL: it speaks for itself';
COMMENT ON COLUMN tripmeter.anomaly.before IS 'The records as they were before, in the engine''s form';

COMMENT ON COLUMN tripmeter.anomaly.answer IS 'What an operator said of it: real, planned (it was to be expected, once) or normal (so it is from now on); NULL: nothing';
COMMENT ON COLUMN tripmeter.anomaly.actor IS 'Who';
COMMENT ON COLUMN tripmeter.anomaly.reason IS 'And why';

-- ---- operators ---------------------------------------------------------------------------------
CREATE FUNCTION tripmeter.anomaly_answer(
    tenant_ text, feature_ text, metric_ text, answer_ text, actor_ text, reason_ text
) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    one tripmeter.anomaly;
BEGIN
    IF answer_ NOT IN ('real', 'planned', 'normal') THEN
        RAISE EXCEPTION 'an anomaly is real, planned or normal, not "%"', answer_
            USING ERRCODE = '22023';
    END IF;
    IF coalesce(reason_, '') = '' OR coalesce(actor_, '') = '' THEN
        RAISE EXCEPTION 'an answer needs an actor and a reason' USING ERRCODE = '22023';
    END IF;
    UPDATE tripmeter.anomaly a SET answer = answer_, actor = actor_, reason = reason_
    WHERE a.tenant = tenant_ AND a.feature = feature_ AND a.metric = metric_ AND a.since_at =
        (SELECT max(b.since_at) FROM tripmeter.anomaly b
         WHERE b.tenant = tenant_ AND b.feature = feature_ AND b.metric = metric_)
    RETURNING a.* INTO one;
    IF one.tenant IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM tripmeter.command_tenant(
        tenant_, 'anomaly',
        jsonb_build_object('feature', feature_, 'metric', metric_, 'word', answer_,
                           'since_ms', (extract(epoch FROM one.since_at) * 1000)::bigint,
                           'before', encode(one.before, 'hex')), actor_, reason_);
    RETURN one.since_at;
END
$$;
COMMENT ON FUNCTION tripmeter.anomaly_answer IS 'What an operator says of the last incident of a series; acts within two seconds of the commit. Since when that incident is, NULL when there was none';

-- ---- the state, read ---------------------------------------------------------------------------
-- The places are those of core/watch.h; tests/test_store_anomaly.c holds them together.
CREATE FUNCTION tripmeter.anomaly_hours(state bytea) RETURNS double precision[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(CASE
        WHEN get_byte(state, 164 + h) = 0 THEN NULL
        WHEN b.exponent = 0 THEN 0
        ELSE b.sign * (1 + b.mantissa / 8388608.0) * power(2::double precision, b.exponent - 127)
        END ORDER BY h)
    FROM generate_series(0, 23) AS h, LATERAL (
        SELECT get_byte(state, 68 + 4 * h) + 256 * get_byte(state, 69 + 4 * h)
                   + 65536 * (get_byte(state, 70 + 4 * h) % 128) AS mantissa,
               get_byte(state, 70 + 4 * h) / 128 + 2 * (get_byte(state, 71 + 4 * h) % 128)
                   AS exponent,
               CASE WHEN get_byte(state, 71 + 4 * h) >= 128 THEN -1 ELSE 1 END AS sign
    ) b WHERE get_byte(state, 0) = 1
$$;
COMMENT ON FUNCTION tripmeter.anomaly_hours IS 'What is usual in a window of each hour of the day (UTC), from the state of a series; NULL: not known yet';

-- ---- views ---------------------------------------------------------------------------------------
CREATE VIEW tripmeter.v_anomaly_week AS
SELECT date_trunc('week', a.noticed_at AT TIME ZONE 'UTC')::date AS week, a.tenant, a.feature,
       a.metric, a.since_at, a.noticed_at, a.over_at, a.tier, a.words, a.value, a.usual,
       round(a.value / nullif(a.usual, 0), 1) AS ratio, a.excess,
       round(100 * a.excess / nullif(a.usual_day, 0)) AS percent_of_day, a.score, a.records,
       a.folded_into, a.answer, a.actor, a.reason
FROM tripmeter.anomaly a;
COMMENT ON VIEW tripmeter.v_anomaly_week IS 'Notes, tickets and pages of the detector, with the week they were noticed in';
COMMENT ON COLUMN tripmeter.v_anomaly_week.week IS 'Monday the week begins with (UTC)';
COMMENT ON COLUMN tripmeter.v_anomaly_week.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.v_anomaly_week.feature IS 'Feature; empty: all of the tenant';
COMMENT ON COLUMN tripmeter.v_anomaly_week.metric IS 'cost, requests, tokens, cost_per_request, output_per_request or fallback_share';
COMMENT ON COLUMN tripmeter.v_anomaly_week.since_at IS 'Start of the first window that broke a record';
COMMENT ON COLUMN tripmeter.v_anomaly_week.noticed_at IS 'When that was noticed';
COMMENT ON COLUMN tripmeter.v_anomaly_week.over_at IS 'When nothing more had followed; NULL: it goes on';
COMMENT ON COLUMN tripmeter.v_anomaly_week.tier IS 'note, ticket or page';
COMMENT ON COLUMN tripmeter.v_anomaly_week.words IS 'What it was, in words';
COMMENT ON COLUMN tripmeter.v_anomaly_week.value IS 'The worst window''s value';
COMMENT ON COLUMN tripmeter.v_anomaly_week.usual IS 'What was usual at its hour';
COMMENT ON COLUMN tripmeter.v_anomaly_week.ratio IS 'Value over usual';
COMMENT ON COLUMN tripmeter.v_anomaly_week.excess IS 'Money spent beyond the usual (negative: below), as last noted';
COMMENT ON COLUMN tripmeter.v_anomaly_week.percent_of_day IS 'That, in per cent of what a usual day costs';
COMMENT ON COLUMN tripmeter.v_anomaly_week.score IS 'How far the record was broken; 1 is worth a note';
COMMENT ON COLUMN tripmeter.v_anomaly_week.records IS 'Windows that broke a record';
COMMENT ON COLUMN tripmeter.v_anomaly_week.folded_into IS 'Who speaks for it; NULL: it speaks for itself';
COMMENT ON COLUMN tripmeter.v_anomaly_week.answer IS 'What an operator said of it: real, planned or normal';
COMMENT ON COLUMN tripmeter.v_anomaly_week.actor IS 'Who';
COMMENT ON COLUMN tripmeter.v_anomaly_week.reason IS 'And why';

-- Where the fleet's leader looks twice a second: so it is found at once, however many there are.
CREATE FUNCTION tripmeter.anomaly_known()
RETURNS TABLE (tenant text, feature text, metric text, spent text, windows bigint, seconds bigint,
               low double precision, high double precision, usual double precision,
               threshold double precision, hours double precision[])
LANGUAGE sql STABLE AS $$
    SELECT s.tenant, s.feature, s.metric, round(u.spent, 2)::text, s.windows,
           extract(epoch FROM s.width)::bigint, s.low, s.high, s.usual, s.threshold,
           tripmeter.anomaly_hours(s.state)
    FROM (
        SELECT f.tenant, coalesce(f.feature, '') AS feature, sum(f.cost) AS spent
        FROM tripmeter.feature_slot f
        WHERE f.start_at > now() - interval '1 hour' AND f.tenant <> '*'
        GROUP BY GROUPING SETS ((f.tenant, f.feature), (f.tenant))
        HAVING grouping(f.feature) = 1 OR f.feature <> ''
        ORDER BY 3 DESC LIMIT 50
    ) u JOIN tripmeter.anomaly_series s ON s.tenant = u.tenant AND s.feature = u.feature
    WHERE s.metric = 'cost' AND NOT EXISTS (
        SELECT FROM tripmeter.anomaly a WHERE a.tenant = s.tenant AND a.feature = s.feature
        AND a.metric = s.metric AND a.folded_into IS NULL
        AND a.noticed_at > now() - interval '7 days')
    ORDER BY u.spent DESC, s.tenant, s.feature LIMIT 8
$$;
COMMENT ON FUNCTION tripmeter.anomaly_known IS 'What the detector knows of the cost of the eight tenants and features that spent most in the last hour, without those whose incidents of the week are told of; for the status page';

-- ---- what is wrong whatever is usual ---------------------------------------------------------------
CREATE FUNCTION tripmeter.keys_spent(tenant_ text, from_ timestamptz, until_ timestamptz)
RETURNS TABLE (key text, cost numeric, median numeric, keys bigint)
LANGUAGE sql STABLE AS $$
    WITH spent AS (
        SELECT f.key, sum(f.cost - f.refunded) AS cost FROM tripmeter.key_fact f
        WHERE f.tenant = tenant_ AND f.hour >= from_ AND f.hour < until_ GROUP BY 1
    )
    SELECT s.key, s.cost, round(t.median, 9), t.keys
    FROM spent s CROSS JOIN (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY o.cost)::numeric AS median,
               count(*) AS keys
        FROM spent o
    ) t
    WHERE t.keys >= 3 AND t.median > 0
$$;
COMMENT ON FUNCTION tripmeter.keys_spent IS 'What each API key of a tenant spent in hours that begin in a span, beside the median of all of them; nothing where less than three were used';

CREATE FUNCTION tripmeter.margins_negative(tenant_ text, from_ timestamptz, until_ timestamptz)
RETURNS TABLE (provider text, model text, cost numeric, charge numeric)
LANGUAGE sql STABLE AS $$
    SELECT f.provider, f.model, sum(f.cost), sum(f.charge) FROM tripmeter.tenant_fact f
    WHERE f.tenant = tenant_ AND f.hour >= from_ AND f.hour < until_
    GROUP BY 1, 2 HAVING sum(f.charge) < sum(f.cost)
$$;
COMMENT ON FUNCTION tripmeter.margins_negative IS 'What cost a tenant more than is charged for it, by model, in hours that begin in a span';

CREATE VIEW tripmeter.v_key_unusual AS
SELECT d.day, d.tenant, k.key, k.cost, k.median, round(k.cost / k.median, 1) AS ratio, k.keys
FROM (SELECT DISTINCT tenant, (hour AT TIME ZONE 'UTC')::date AS day FROM tripmeter.key_fact) d,
     LATERAL tripmeter.keys_spent(d.tenant, d.day::timestamp AT TIME ZONE 'UTC',
                                  (d.day + 1)::timestamp AT TIME ZONE 'UTC') k
WHERE k.cost > 2 * k.median;
COMMENT ON VIEW tripmeter.v_key_unusual IS 'API keys that spent more than twice the median of their tenant''s keys on a UTC day; of tenants that used three and more';
COMMENT ON COLUMN tripmeter.v_key_unusual.day IS 'UTC day';
COMMENT ON COLUMN tripmeter.v_key_unusual.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.v_key_unusual.key IS 'API key id';
COMMENT ON COLUMN tripmeter.v_key_unusual.cost IS 'What it spent, refunds not taken off';
COMMENT ON COLUMN tripmeter.v_key_unusual.median IS 'Median of the tenant''s keys that day';
COMMENT ON COLUMN tripmeter.v_key_unusual.ratio IS 'Cost over median';
COMMENT ON COLUMN tripmeter.v_key_unusual.keys IS 'Keys that were used that day';

CREATE VIEW tripmeter.v_negative_margin AS
SELECT w.week, w.tenant, m.provider, m.model, m.cost, m.charge, m.charge - m.cost AS margin
FROM (SELECT DISTINCT tenant, date_trunc('week', hour AT TIME ZONE 'UTC')::date AS week
      FROM tripmeter.tenant_fact) w,
     LATERAL tripmeter.margins_negative(w.tenant, w.week::timestamp AT TIME ZONE 'UTC',
                                        (w.week + 7)::timestamp AT TIME ZONE 'UTC') m;
COMMENT ON VIEW tripmeter.v_negative_margin IS 'What costs more than is charged for it, by week, tenant and model';
COMMENT ON COLUMN tripmeter.v_negative_margin.week IS 'Monday the week begins with (UTC)';
COMMENT ON COLUMN tripmeter.v_negative_margin.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.v_negative_margin.provider IS 'Provider';
COMMENT ON COLUMN tripmeter.v_negative_margin.model IS 'Model that served';
COMMENT ON COLUMN tripmeter.v_negative_margin.cost IS 'What the provider charges, refunds taken off';
COMMENT ON COLUMN tripmeter.v_negative_margin.charge IS 'What the customer pays';
COMMENT ON COLUMN tripmeter.v_negative_margin.margin IS 'Charge less cost: negative';

-- What the leader of the fleet asks when an hour is over, of some tenants at a time.  A tenant is told
-- once, with the worst it has, and until it is down to three quarters of the ratio or half of the
-- amount: so it says nothing twice, whoever asks.
CREATE FUNCTION tripmeter.watch_day(
    rule_ text, on_ boolean, after_ text, upto_ text, until_ timestamptz, zone_ text,
    currency_ text, currencies_ text[], gates_ numeric[]
) RETURNS TABLE (tenant text, is_over boolean, zone text, currency text, name text, spent numeric,
                 against numeric, impact numeric, members bigint, all_ bigint)
LANGUAGE sql STABLE AS $$
    WITH asked AS MATERIALIZED (
        SELECT t.tenant FROM tripmeter.tenant_shard t
        WHERE on_ AND t.tenant > after_ COLLATE "C" AND t.tenant <= upto_ COLLATE "C"
    ), found AS (
        SELECT s.tenant, k.key AS name, k.cost AS spent, k.median AS against,
               k.cost - k.median AS beyond, k.cost > 2 * k.median AS breaks, k.keys AS all_
        FROM asked s, LATERAL tripmeter.keys_spent(s.tenant, until_ - interval '1 day', until_) k
        WHERE rule_ = 'anomaly/keys' AND k.cost > 1.5 * k.median
        UNION ALL
        SELECT s.tenant, concat_ws('/', nullif(m.provider, ''), m.model), m.cost, m.charge,
               m.cost - m.charge, true, 0
        FROM asked s,
             LATERAL tripmeter.margins_negative(s.tenant, until_ - interval '1 day', until_) m
        WHERE rule_ = 'anomaly/margin'
    ), ranked AS (
        SELECT f.*, row_number() OVER (PARTITION BY f.tenant ORDER BY f.beyond DESC, f.name) AS place,
               count(*) FILTER (WHERE f.breaks) OVER (PARTITION BY f.tenant) AS members,
               CASE WHEN rule_ = 'anomaly/margin' THEN sum(f.beyond) OVER (PARTITION BY f.tenant)
                    ELSE f.beyond END AS impact
        FROM found f
    ), told AS (
        SELECT e.tenant FROM tripmeter.episode e WHERE e.rule = rule_ AND e.resolved_at IS NULL
          AND e.tenant > after_ COLLATE "C" AND e.tenant <= upto_ COLLATE "C"
    ), both_ AS (
        SELECT coalesce(r.tenant, t.tenant) AS tenant, t.tenant IS NOT NULL AS is_told, r.name,
               r.spent, r.against, r.breaks, r.impact, r.members, r.all_
        FROM (SELECT * FROM ranked WHERE place = 1) r FULL JOIN told t ON t.tenant = r.tenant
    )
    SELECT b.tenant, b.is_told, coalesce(c.zone, zone_), coalesce(c.currency, currency_), b.name,
           b.spent, b.against, b.impact, b.members, b.all_
    FROM both_ b LEFT JOIN LATERAL (
        SELECT v.zone, v.currency FROM tripmeter.tenant_version v WHERE v.tenant = b.tenant
        ORDER BY v.version DESC LIMIT 1
    ) c ON true CROSS JOIN LATERAL (
        SELECT g.amount FROM unnest(currencies_, gates_) AS g(currency, amount)
        WHERE g.currency IN (coalesce(c.currency, currency_), currency_)
        ORDER BY g.currency = currency_ AND currency_ <> coalesce(c.currency, currency_) LIMIT 1
    ) gate
    WHERE CASE WHEN b.is_told THEN coalesce(b.impact < gate.amount / 2, true)
               ELSE b.breaks AND b.impact >= gate.amount END
    ORDER BY b.tenant
$$;
COMMENT ON FUNCTION tripmeter.watch_day IS 'Tenants after and up to a name that are to be told of by anomaly/keys or anomaly/margin for the 24 hours before a moment, and those that were told and are over; gates_: the least impact in each of currencies_, of which one is the policy''s';

-- ---- reservations --------------------------------------------------------------------------------
CREATE TABLE tripmeter.reservation (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    feature text NOT NULL,
    currency text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'late', 'early', 'settled', 'released', 'given up')),
    made_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    state_at timestamptz NOT NULL,
    cost numeric(38, 9),
    PRIMARY KEY (tenant, id)
);
CREATE INDEX reservation_since ON tripmeter.reservation (state_at);
COMMENT ON TABLE tripmeter.reservation IS 'Reservations that are open, and those that were open beyond twice their time; what is settled or released before leaves no row. Only where the policy has anomalies';
COMMENT ON COLUMN tripmeter.reservation.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.reservation.id IS 'The reservation, as its events name it';
COMMENT ON COLUMN tripmeter.reservation.feature IS 'Feature it was made for; empty: it was not said';
COMMENT ON COLUMN tripmeter.reservation.currency IS 'Currency of cost';
COMMENT ON COLUMN tripmeter.reservation.state IS 'open; late: open beyond twice its time; early: settled or released before it was made; settled, released: but late; given up: a day after it was late';
COMMENT ON COLUMN tripmeter.reservation.made_at IS 'Shard time when it was made (early: when it was settled)';
COMMENT ON COLUMN tripmeter.reservation.due_at IS 'When it is late (open), given up (late) or forgotten (early)';
COMMENT ON COLUMN tripmeter.reservation.state_at IS 'Since when it is in this state';
COMMENT ON COLUMN tripmeter.reservation.cost IS 'What it holds; NULL: it was made for tokens';

CREATE VIEW tripmeter.v_reservation_unsettled AS
SELECT date_trunc('week', r.made_at AT TIME ZONE 'UTC')::date AS week, r.tenant, r.id, r.feature,
       r.cost, r.currency, r.made_at, r.state,
       CASE WHEN r.state <> 'late' THEN r.state_at END AS over_at
FROM tripmeter.reservation r WHERE r.state NOT IN ('open', 'early');
COMMENT ON VIEW tripmeter.v_reservation_unsettled IS 'Reservations that were neither settled nor released within twice their time';
COMMENT ON COLUMN tripmeter.v_reservation_unsettled.week IS 'Monday the week begins with in which it was made (UTC)';
COMMENT ON COLUMN tripmeter.v_reservation_unsettled.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.v_reservation_unsettled.id IS 'The reservation';
COMMENT ON COLUMN tripmeter.v_reservation_unsettled.feature IS 'Feature it was made for';
COMMENT ON COLUMN tripmeter.v_reservation_unsettled.cost IS 'What it holds; NULL: it was made for tokens';
COMMENT ON COLUMN tripmeter.v_reservation_unsettled.currency IS 'Currency of cost';
COMMENT ON COLUMN tripmeter.v_reservation_unsettled.made_at IS 'When it was made';
COMMENT ON COLUMN tripmeter.v_reservation_unsettled.state IS 'late: still open; settled or released at last; given up: a day after it was late';
COMMENT ON COLUMN tripmeter.v_reservation_unsettled.over_at IS 'When it was settled, released or given up; NULL: it is open';
