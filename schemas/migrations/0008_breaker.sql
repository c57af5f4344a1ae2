-- Breakers: what each feature of a tenant spent in the last hour, which of its hours are unusual, the
-- state of its breaker, and every move of it.  Rows exist only where the policy has breakers.
-- Amounts are units of the tenant's currency; what is usual in an hour is learned from tenant_fact.

CREATE TABLE tripmeter.feature_slot (
    tenant text COLLATE "C" NOT NULL,
    feature text COLLATE "C" NOT NULL,
    place smallint NOT NULL CHECK (place BETWEEN 0 AND 12),
    start_at timestamptz NOT NULL,
    cost numeric(38, 9) NOT NULL,
    judged numeric(38, 9) NOT NULL,
    judged_calls numeric(38) NOT NULL,
    requests numeric(38) NOT NULL,
    attempts numeric(38) NOT NULL,
    fallbacks numeric(38) NOT NULL,
    input_tokens numeric(38) NOT NULL,
    output_tokens numeric(38) NOT NULL,
    PRIMARY KEY (tenant, feature, place)
);
CREATE INDEX feature_slot_start ON tripmeter.feature_slot (start_at, feature);
COMMENT ON TABLE tripmeter.feature_slot IS 'The last hour of each feature of a tenant in 13 slots of five minutes; a slot is overwritten 65 minutes later';
COMMENT ON COLUMN tripmeter.feature_slot.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.feature_slot.feature IS 'Feature; empty: what was used without one, where the policy has anomalies';
COMMENT ON COLUMN tripmeter.feature_slot.place IS 'Its place in the ring';
COMMENT ON COLUMN tripmeter.feature_slot.start_at IS 'Start of the five minutes';
COMMENT ON COLUMN tripmeter.feature_slot.cost IS 'Spent in them; refunds are not taken off';
COMMENT ON COLUMN tripmeter.feature_slot.judged IS 'Of that: what counts against the breaker; not what came late or was dealt with';
COMMENT ON COLUMN tripmeter.feature_slot.judged_calls IS 'Attempts that do';
COMMENT ON COLUMN tripmeter.feature_slot.requests IS 'Requests';
COMMENT ON COLUMN tripmeter.feature_slot.attempts IS 'Attempts at a provider';
COMMENT ON COLUMN tripmeter.feature_slot.fallbacks IS 'Attempts after the first of their request';
COMMENT ON COLUMN tripmeter.feature_slot.input_tokens IS 'Tokens in';
COMMENT ON COLUMN tripmeter.feature_slot.output_tokens IS 'Tokens out';

CREATE TABLE tripmeter.feature_hour (
    tenant text COLLATE "C" NOT NULL,
    feature text COLLATE "C" NOT NULL,
    hour timestamptz NOT NULL,
    flags integer NOT NULL,
    baseline numeric(38, 9) NOT NULL,
    learned numeric(38, 9) NOT NULL,
    PRIMARY KEY (tenant, feature, hour)
);
COMMENT ON TABLE tripmeter.feature_hour IS 'What is known of an hour of a feature beside its facts: that it is unusual, or what it cost before there were facts';
COMMENT ON COLUMN tripmeter.feature_hour.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.feature_hour.feature IS 'Feature';
COMMENT ON COLUMN tripmeter.feature_hour.hour IS 'Start of the tenant''s local clock hour';
COMMENT ON COLUMN tripmeter.feature_hour.flags IS 'Sum of 1 tripped, 2 first and not whole, 4 events came more than 15 minutes late, 8 prices corrected, 16 accepted as usual by an operator; an hour with any of them but 16 says nothing about what is usual';
COMMENT ON COLUMN tripmeter.feature_hour.baseline IS 'Baseline in force in that hour; 0: none';
COMMENT ON COLUMN tripmeter.feature_hour.learned IS 'Cost known from a gateway''s log (`tripmeter learn`), where there are no facts';

CREATE TABLE tripmeter.feature_breaker (
    tenant text COLLATE "C" NOT NULL,
    feature text COLLATE "C" NOT NULL,
    state text NOT NULL CHECK (state IN ('learning', 'shadow', 'closed', 'open', 'half_open', 'ramp',
                                         'latched', 'forced_open', 'forced_closed')),
    since_at timestamptz,
    until_at timestamptz NOT NULL,
    opens integer NOT NULL,
    calm_at timestamptz NOT NULL,
    opened_at timestamptz,
    opened_before_at timestamptz,
    tripped_at timestamptz,
    baseline numeric(38, 9) NOT NULL,
    observed numeric(38, 9) NOT NULL,
    spent numeric(38, 9) NOT NULL,
    step integer NOT NULL,
    waits boolean NOT NULL,
    throttled boolean NOT NULL,
    alarm integer NOT NULL,
    warn_at timestamptz NOT NULL,
    shadow_until timestamptz,
    would_until timestamptz NOT NULL,
    would_block numeric(38, 9) NOT NULL,
    usual numeric(38, 9) NOT NULL,
    accepted numeric(38, 9) NOT NULL,
    accepted_until timestamptz,
    actor text,
    reason text,
    PRIMARY KEY (tenant, feature),
    CONSTRAINT waits_for_something CHECK (
        state IN ('learning', 'shadow', 'closed', 'latched', 'forced_open', 'forced_closed')
        OR until_at < 'infinity')
);
CREATE INDEX feature_breaker_state ON tripmeter.feature_breaker (state)
    WHERE state NOT IN ('learning', 'shadow', 'closed');
COMMENT ON TABLE tripmeter.feature_breaker IS 'The breaker of each feature of a tenant';
COMMENT ON COLUMN tripmeter.feature_breaker.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.feature_breaker.feature IS 'Feature';
COMMENT ON COLUMN tripmeter.feature_breaker.state IS 'learning: no baseline yet, not protected; shadow: says what it would cut; closed: watches; open: cut; half_open: a probe; ramp: let through step by step; latched: cut until an operator speaks; forced_open, forced_closed: by an operator';
COMMENT ON COLUMN tripmeter.feature_breaker.since_at IS 'When the state began; NULL: with the feature';
COMMENT ON COLUMN tripmeter.feature_breaker.until_at IS 'When it ends; infinity: it waits for spending or for an operator';
COMMENT ON COLUMN tripmeter.feature_breaker.opens IS 'Moves into open that are not forgotten: each doubles the time; one is forgotten every 6 hours at rest';
COMMENT ON COLUMN tripmeter.feature_breaker.calm_at IS 'When the next one is; infinity: not now';
COMMENT ON COLUMN tripmeter.feature_breaker.opened_at IS 'Last move into open by itself';
COMMENT ON COLUMN tripmeter.feature_breaker.opened_before_at IS 'The one before: a third within 24 hours latches';
COMMENT ON COLUMN tripmeter.feature_breaker.tripped_at IS 'When it was last found above its limit, enforced or not';
COMMENT ON COLUMN tripmeter.feature_breaker.baseline IS 'Baseline of that trip';
COMMENT ON COLUMN tripmeter.feature_breaker.observed IS 'Spending in an hour at that trip';
COMMENT ON COLUMN tripmeter.feature_breaker.spent IS 'Spent in the present probe or step';
COMMENT ON COLUMN tripmeter.feature_breaker.step IS 'half_open: first or second probe; ramp: per cent';
COMMENT ON COLUMN tripmeter.feature_breaker.waits IS 'half_open: no call has come yet';
COMMENT ON COLUMN tripmeter.feature_breaker.throttled IS 'The budget of the probe or step is spent: stopped until it ends';
COMMENT ON COLUMN tripmeter.feature_breaker.alarm IS 'Step of the open alert: 0 none, 200 warned, from 300 tripped, 400 latched';
COMMENT ON COLUMN tripmeter.feature_breaker.warn_at IS 'When a warning is looked at again; infinity: there is none';
COMMENT ON COLUMN tripmeter.feature_breaker.shadow_until IS 'Not enforced until then, by an operator or a storm; NULL: as the policy says';
COMMENT ON COLUMN tripmeter.feature_breaker.would_until IS 'It would be open until then if it were enforced; infinity: it would not';
COMMENT ON COLUMN tripmeter.feature_breaker.would_block IS 'Spent while it would have been open, the last time';
COMMENT ON COLUMN tripmeter.feature_breaker.usual IS 'Baseline of the hour in which the row was written; 0: none yet';
COMMENT ON COLUMN tripmeter.feature_breaker.accepted IS 'The least baseline, accepted by an operator';
COMMENT ON COLUMN tripmeter.feature_breaker.accepted_until IS 'Until then; NULL: nothing was accepted';
COMMENT ON COLUMN tripmeter.feature_breaker.actor IS 'Whose word holds; NULL: nobody''s';
COMMENT ON COLUMN tripmeter.feature_breaker.reason IS 'And why';

CREATE TABLE tripmeter.breaker_move (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    feature text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    would boolean NOT NULL,
    opens integer NOT NULL,
    baseline numeric(38, 9) NOT NULL,
    observed numeric(38, 9) NOT NULL,
    would_block numeric(38, 9) NOT NULL,
    trigger text,
    actor text,
    reason text,
    shard integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX breaker_move_feature ON tripmeter.breaker_move (tenant, feature, at);
CREATE INDEX breaker_move_at ON tripmeter.breaker_move (at);
COMMENT ON TABLE tripmeter.breaker_move IS 'Every move of a breaker from one state to another, and every word of an operator';
COMMENT ON COLUMN tripmeter.breaker_move.id IS 'Order of settlement';
COMMENT ON COLUMN tripmeter.breaker_move.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.breaker_move.feature IS 'Feature';
COMMENT ON COLUMN tripmeter.breaker_move.at IS 'Shard time of the move';
COMMENT ON COLUMN tripmeter.breaker_move.from_state IS 'State before';
COMMENT ON COLUMN tripmeter.breaker_move.to_state IS 'State after';
COMMENT ON COLUMN tripmeter.breaker_move.would IS 'Not enforced: from here on it would have been open, or no longer';
COMMENT ON COLUMN tripmeter.breaker_move.opens IS 'Moves into open that are not forgotten, this one included';
COMMENT ON COLUMN tripmeter.breaker_move.baseline IS 'Baseline of the trip';
COMMENT ON COLUMN tripmeter.breaker_move.observed IS 'Spending in an hour at the trip';
COMMENT ON COLUMN tripmeter.breaker_move.would_block IS 'Spent while it would have been open; whole where that ends';
COMMENT ON COLUMN tripmeter.breaker_move.trigger IS 'Id of the event that caused it; NULL: a deadline or an operator';
COMMENT ON COLUMN tripmeter.breaker_move.actor IS 'Operator whose word it was';
COMMENT ON COLUMN tripmeter.breaker_move.reason IS 'And why';
COMMENT ON COLUMN tripmeter.breaker_move.shard IS 'Shard that judged';
COMMENT ON COLUMN tripmeter.breaker_move.created_at IS 'When it was settled';

-- ---- operators ---------------------------------------------------------------------------------
CREATE FUNCTION tripmeter.breaker_say(
    tenant_ text, feature_ text, word_ text, until_ timestamptz, actor_ text, reason_ text
) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF word_ NOT IN ('trip', 'allow', 'reset', 'accept', 'shadow') THEN
        RAISE EXCEPTION 'a breaker knows trip, allow, reset, accept and shadow, not "%"', word_
            USING ERRCODE = '22023';
    END IF;
    IF coalesce(tenant_, '') = '' OR coalesce(feature_, '') = '' THEN
        RAISE EXCEPTION 'a breaker has a tenant and a feature' USING ERRCODE = '22023';
    END IF;
    IF coalesce(reason_, '') = '' OR coalesce(actor_, '') = '' THEN
        RAISE EXCEPTION 'an operator''s word needs an actor and a reason' USING ERRCODE = '22023';
    END IF;
    RETURN tripmeter.command_tenant(
        tenant_, 'breaker',
        jsonb_strip_nulls(jsonb_build_object(
            'feature', feature_, 'word', word_,
            'until_ms', (extract(epoch FROM nullif(until_, 'infinity')) * 1000)::bigint)),
        actor_, reason_);
END
$$;
COMMENT ON FUNCTION tripmeter.breaker_say IS 'trip, allow, reset, accept or shadow for the breaker of a feature, until a moment (NULL: until another word); acts within two seconds of the commit';

CREATE FUNCTION tripmeter.breaker_learn(
    tenant_ text, feature_ text, times bigint[], costs numeric[], zone_ text, actor_ text,
    reason_ text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    own_zone text := coalesce((SELECT v.zone FROM tripmeter.tenant_version v
                               WHERE v.tenant = tenant_ ORDER BY v.version DESC LIMIT 1), zone_);
    hours bigint;
BEGIN
    WITH spent AS (
        SELECT date_trunc('hour', to_timestamp(u.at / 1000) AT TIME ZONE own_zone)
                   AT TIME ZONE own_zone AS hour, sum(u.cost) AS cost
        FROM unnest(times, costs) AS u(at, cost) GROUP BY 1
    ), learned AS (
        INSERT INTO tripmeter.feature_hour AS h (tenant, feature, hour, flags, baseline, learned)
        SELECT tenant_, feature_, s.hour, 0, 0, s.cost FROM spent s
        WHERE NOT EXISTS (SELECT FROM tripmeter.tenant_fact f
                          WHERE f.tenant = tenant_ AND f.feature = feature_
                            AND f.hour >= s.hour AND f.hour < s.hour + interval '1 hour')
        ORDER BY s.hour
        ON CONFLICT (tenant, feature, hour) DO UPDATE SET learned = excluded.learned
            WHERE h.learned = 0
        RETURNING 1
    )
    SELECT count(*) INTO hours FROM learned;
    IF hours > 0 THEN
        PERFORM tripmeter.command_tenant(
            tenant_, 'word', jsonb_build_object('learned', feature_, 'hours', hours), actor_,
            reason_);
    END IF;
    RETURN hours;
END
$$;
COMMENT ON FUNCTION tripmeter.breaker_learn IS 'What a feature spent, before there were facts, in hours of the tenant''s zone (zone_ where it has none); each hour is learned once. Returns how many were new; the tenant''s home takes them over at once';

-- ---- views ---------------------------------------------------------------------------------------
CREATE VIEW tripmeter.v_breaker AS
SELECT b.tenant, b.feature, b.state, b.since_at, nullif(b.until_at, 'infinity') AS until_at,
       nullif(b.usual, 0) AS usual, coalesce(s.hour, 0) AS last_hour, b.baseline, b.observed,
       b.tripped_at, b.opens, b.alarm, b.would_block, b.actor, b.reason
FROM tripmeter.feature_breaker b
LEFT JOIN LATERAL (
    SELECT sum(s.cost) AS hour FROM tripmeter.feature_slot s
    WHERE s.tenant = b.tenant AND s.feature = b.feature
      AND s.start_at > (SELECT max(shard_time) FROM tripmeter.shard) - interval '65 minutes'
) s ON true;
COMMENT ON VIEW tripmeter.v_breaker IS 'Every breaker as it is settled; those that are not learning, shadow or closed restrict traffic or may';
COMMENT ON COLUMN tripmeter.v_breaker.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.v_breaker.feature IS 'Feature';
COMMENT ON COLUMN tripmeter.v_breaker.state IS 'As in feature_breaker; learning: not protected yet';
COMMENT ON COLUMN tripmeter.v_breaker.since_at IS 'When the state began';
COMMENT ON COLUMN tripmeter.v_breaker.until_at IS 'When it ends; NULL: it waits for spending or for an operator';
COMMENT ON COLUMN tripmeter.v_breaker.usual IS 'Baseline when the row was last written; NULL: none yet';
COMMENT ON COLUMN tripmeter.v_breaker.last_hour IS 'Spent in the last 60 to 65 minutes';
COMMENT ON COLUMN tripmeter.v_breaker.baseline IS 'Baseline of the last trip';
COMMENT ON COLUMN tripmeter.v_breaker.observed IS 'Spending in an hour at the last trip';
COMMENT ON COLUMN tripmeter.v_breaker.tripped_at IS 'When that was';
COMMENT ON COLUMN tripmeter.v_breaker.opens IS 'Moves into open that are not forgotten';
COMMENT ON COLUMN tripmeter.v_breaker.alarm IS 'Step of the open alert; 0: none';
COMMENT ON COLUMN tripmeter.v_breaker.would_block IS 'Spent while it would have been open, the last time';
COMMENT ON COLUMN tripmeter.v_breaker.actor IS 'Operator whose word holds';
COMMENT ON COLUMN tripmeter.v_breaker.reason IS 'And why';

CREATE VIEW tripmeter.v_feature_trouble AS
WITH trips AS (
    SELECT tenant, feature, date_trunc('week', at AT TIME ZONE 'UTC')::date AS week,
           count(*) FILTER (WHERE to_state IN ('open', 'latched')) AS trips,
           count(*) FILTER (WHERE to_state = 'latched') AS latched,
           count(*) FILTER (WHERE would AND would_block = 0) AS would_trips,
           coalesce(sum(would_block) FILTER (WHERE would), 0) AS would_block
    FROM tripmeter.breaker_move GROUP BY 1, 2, 3
), used AS (
    SELECT tenant, feature, date_trunc('week', hour AT TIME ZONE 'UTC')::date AS week,
           sum(attempts) AS attempts, sum(attempts - requests) AS again, sum(cost - refunded) AS cost
    FROM tripmeter.tenant_fact WHERE feature <> '' GROUP BY 1, 2, 3
)
SELECT u.week, u.tenant, u.feature, coalesce(t.trips, 0) AS trips,
       coalesce(t.latched, 0) AS latched, coalesce(t.would_trips, 0) AS would_trips,
       coalesce(t.would_block, 0) AS would_block, u.cost, u.attempts::bigint AS attempts,
       round(100 * greatest(u.again, 0) / nullif(u.attempts, 0), 1) AS again_percent
FROM used u LEFT JOIN trips t USING (tenant, feature, week)
WHERE t.trips > 0 OR t.would_trips > 0 OR u.again * 5 > u.attempts;
COMMENT ON VIEW tripmeter.v_feature_trouble IS 'Features that tripped, would have tripped, or needed a second attempt for more than a fifth, by week';
COMMENT ON COLUMN tripmeter.v_feature_trouble.week IS 'Monday the week begins with (UTC)';
COMMENT ON COLUMN tripmeter.v_feature_trouble.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.v_feature_trouble.feature IS 'Feature';
COMMENT ON COLUMN tripmeter.v_feature_trouble.trips IS 'Times its breaker cut it by itself';
COMMENT ON COLUMN tripmeter.v_feature_trouble.latched IS 'Of those: the third within a day, which waited for an operator';
COMMENT ON COLUMN tripmeter.v_feature_trouble.would_trips IS 'Times a breaker in shadow would have cut it';
COMMENT ON COLUMN tripmeter.v_feature_trouble.would_block IS 'What it spent meanwhile: what enforcing would have blocked';
COMMENT ON COLUMN tripmeter.v_feature_trouble.cost IS 'What it spent in the week, refunds not taken off';
COMMENT ON COLUMN tripmeter.v_feature_trouble.attempts IS 'Attempts at a provider';
COMMENT ON COLUMN tripmeter.v_feature_trouble.again_percent IS 'Per cent of them that are no request of their own: retries, fallbacks, failures';
