-- The fleet: each feature over all tenants, judged as one more tenant, `*`, whose shard no partition
-- feeds; and the sources that usage comes from.  One engine leads, by an advisory lock of its session.

-- What comes under this name in a partition is counted, but judged nowhere.
INSERT INTO tripmeter.tenant_shard (tenant, shard, provisional) VALUES ('*', 100000, false);

-- ---- what the leader reads ---------------------------------------------------------------------
CREATE INDEX tenant_version_currency ON tripmeter.tenant_version (tenant) WHERE currency IS NOT NULL;

CREATE FUNCTION tripmeter.fleet_time() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT max(s.shard_time) FROM tripmeter.shard s WHERE s.shard < 100000
$$;
COMMENT ON FUNCTION tripmeter.fleet_time IS 'Now, as the shards of the partitions have settled it; NULL before the first settlement';

CREATE FUNCTION tripmeter.fleet_slots(from_ timestamptz, currency_ text)
RETURNS TABLE (feature text, start_at timestamptz, cost numeric, judged numeric,
               judged_calls numeric, requests numeric, attempts numeric, fallbacks numeric,
               input_tokens numeric, output_tokens numeric)
LANGUAGE sql STABLE AS $$
    WITH foreign_ AS (
        SELECT v.tenant FROM tripmeter.tenant_version v
        WHERE v.currency IS NOT NULL AND v.currency <> currency_ AND NOT EXISTS
            (SELECT FROM tripmeter.tenant_version w
             WHERE w.tenant = v.tenant AND w.version > v.version)
    )
    SELECT s.feature, s.start_at, sum(s.cost),
           coalesce(sum(s.judged) FILTER (WHERE b.tenant IS NULL), 0),
           coalesce(sum(s.judged_calls) FILTER (WHERE b.tenant IS NULL), 0),
           sum(s.requests), sum(s.attempts), sum(s.fallbacks), sum(s.input_tokens),
           sum(s.output_tokens)
    FROM tripmeter.feature_slot s
    LEFT JOIN tripmeter.feature_breaker b ON b.tenant = s.tenant AND b.feature = s.feature
        AND b.state NOT IN ('learning', 'shadow', 'closed')
    WHERE s.start_at >= from_ AND s.tenant <> '*' AND s.feature <> ''
      AND s.tenant NOT IN (SELECT f.tenant FROM foreign_ f)
    GROUP BY s.feature, s.start_at ORDER BY s.feature, s.start_at
$$;
COMMENT ON FUNCTION tripmeter.fleet_slots IS 'Slots that start at or after a moment, summed over the tenants billed in that currency (the policy''s: who names none has it); what counts is without tenants whose own breaker of the feature cuts, probes or is forced';

CREATE FUNCTION tripmeter.fleet_spread(feature_ text, from_ timestamptz, currency_ text)
RETURNS TABLE (tenant text, cost numeric, whole numeric, tenants bigint)
LANGUAGE sql STABLE AS $$
    SELECT t.tenant, t.cost, sum(t.cost) OVER (), count(*) OVER ()
    FROM (SELECT s.tenant, sum(s.judged) AS cost FROM tripmeter.feature_slot s
          WHERE s.start_at >= from_ AND s.feature = feature_ AND s.tenant <> '*'
            AND NOT EXISTS (SELECT FROM tripmeter.feature_breaker b
                            WHERE b.tenant = s.tenant AND b.feature = s.feature
                              AND b.state NOT IN ('learning', 'shadow', 'closed'))
            AND coalesce((SELECT v.currency FROM tripmeter.tenant_version v
                          WHERE v.tenant = s.tenant ORDER BY v.version DESC LIMIT 1),
                         currency_) = currency_
          GROUP BY s.tenant HAVING sum(s.judged) > 0) t
    ORDER BY t.cost DESC, t.tenant LIMIT 3
$$;
COMMENT ON FUNCTION tripmeter.fleet_spread IS 'Who spends most of what fleet_slots says of a feature, with the sum and the number of all';

-- Hours and slots in one statement each of one snapshot: what comes later is in neither.
CREATE FUNCTION tripmeter.fleet_seed(zone_ text, currency_ text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    now_ timestamptz := tripmeter.fleet_time();
BEGIN
    IF now_ IS NULL OR EXISTS (SELECT FROM tripmeter.feature_hour h WHERE h.tenant = '*')
       OR EXISTS (SELECT FROM tripmeter.feature_slot s WHERE s.tenant = '*') THEN
        RETURN false;
    END IF;
    WITH foreign_ AS (
        SELECT v.tenant FROM tripmeter.tenant_version v
        WHERE v.currency IS NOT NULL AND v.currency <> currency_ AND NOT EXISTS
            (SELECT FROM tripmeter.tenant_version w
             WHERE w.tenant = v.tenant AND w.version > v.version)
    ), slots AS (
        INSERT INTO tripmeter.feature_slot
        SELECT '*', f.feature, (extract(epoch FROM f.start_at)::bigint / 300 % 13)::smallint,
               f.start_at, f.cost, 0, 0, f.requests, f.attempts, f.fallbacks, f.input_tokens,
               f.output_tokens
        FROM tripmeter.fleet_slots(now_ - interval '60 minutes', currency_) f
    )
    INSERT INTO tripmeter.feature_hour (tenant, feature, hour, flags, baseline, learned)
    SELECT '*', f.feature,
           date_trunc('hour', f.hour AT TIME ZONE zone_) AT TIME ZONE zone_ AS local_hour, 0, 0,
           sum(f.cost - f.refunded)
    FROM tripmeter.tenant_fact f
    WHERE f.hour >= now_ - interval '28 days' AND f.feature <> ''
      AND f.tenant NOT IN (SELECT o.tenant FROM foreign_ o)
    GROUP BY f.feature, local_hour;
    RETURN true;
END
$$;
COMMENT ON FUNCTION tripmeter.fleet_seed IS 'Once, when nothing is known of the fleet: its hours of the last 28 days from the facts of all tenants, its slots from theirs (none of which counts against it). True when it did';

-- ---- sources -----------------------------------------------------------------------------------
CREATE TABLE tripmeter.source_seen (
    source text COLLATE "C" NOT NULL,
    shard integer NOT NULL,
    last_at timestamptz NOT NULL,
    hours integer NOT NULL CHECK (hours BETWEEN 1 AND 16777215),
    PRIMARY KEY (source, shard)
);
COMMENT ON TABLE tripmeter.source_seen IS 'When each source of usage events was last heard in a shard, to the minute';
COMMENT ON COLUMN tripmeter.source_seen.source IS 'The event''s source';
COMMENT ON COLUMN tripmeter.source_seen.shard IS 'Shard its events came to';
COMMENT ON COLUMN tripmeter.source_seen.last_at IS 'Record time of an event of the last minute in which there was one';
COMMENT ON COLUMN tripmeter.source_seen.hours IS 'Bit n: there was one in the clock hour (UTC) n hours before that of last_at; 24 bits';

CREATE TABLE tripmeter.source_watch (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    since_at timestamptz NOT NULL,
    until_at timestamptz NOT NULL
);
INSERT INTO tripmeter.source_watch VALUES (true, 'epoch', 'epoch');
COMMENT ON TABLE tripmeter.source_watch IS 'The time in which silence was listened to without a gap';
COMMENT ON COLUMN tripmeter.source_watch.single IS 'There is one row';
COMMENT ON COLUMN tripmeter.source_watch.since_at IS 'Since when every shard has gone on without a jump: Kafka, Postgres or the engines may have been away before';
COMMENT ON COLUMN tripmeter.source_watch.until_at IS 'Up to where every shard has read';

CREATE FUNCTION tripmeter.hours_between(a timestamptz, b timestamptz) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT least(greatest(floor(extract(epoch FROM b) / 3600)
                          - floor(extract(epoch FROM a) / 3600), 0), 24)::integer
$$;
COMMENT ON FUNCTION tripmeter.hours_between IS 'How many clock hours (UTC) later b lies, 0 to 24';

CREATE FUNCTION tripmeter.watch_sources(epoch_ bigint)
RETURNS TABLE (source text, last_at timestamptz, silent boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    reached timestamptz;
    watched tripmeter.source_watch;
BEGIN
    -- Where a partition is halted or not read at all, nobody knows who is silent.
    SELECT min(s.shard_time) INTO reached FROM tripmeter.shard s WHERE s.shard < 100000
    HAVING count(s.shard_time) = (SELECT max(l.partitions) FROM tripmeter.layout l);
    IF reached IS NULL OR EXISTS (SELECT FROM tripmeter.episode e
            WHERE e.rule = 'ingest/partition_halted' AND e.resolved_at IS NULL) THEN
        RETURN;
    END IF;
    UPDATE tripmeter.source_watch w
    SET since_at = CASE WHEN reached > w.until_at + interval '2 minutes' THEN reached
                        ELSE w.since_at END,
        until_at = greatest(w.until_at, reached)
    WHERE EXISTS (SELECT FROM tripmeter.shard s WHERE s.shard = 100000 AND s.epoch = epoch_)
    RETURNING * INTO watched;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH heard AS (
        SELECT h.source, max(h.last_at) AS last_at FROM tripmeter.source_seen h GROUP BY h.source
    ), known AS (
        SELECT h.source, h.last_at,
               bit_or(s.hours << tripmeter.hours_between(s.last_at, h.last_at)) & 16777215 AS hours
        FROM heard h JOIN tripmeter.source_seen s USING (source) GROUP BY h.source, h.last_at
    ), told AS (
        SELECT e.labels->>'source' AS source FROM tripmeter.episode e
        WHERE e.rule = 'ingest/source_silent' AND e.resolved_at IS NULL
    )
    SELECT k.source, k.last_at, t.source IS NULL
    FROM known k LEFT JOIN told t USING (source)
    WHERE CASE WHEN t.source IS NULL
          THEN k.hours = 16777215 AND k.last_at > reached - interval '1 day'
               AND greatest(k.last_at, watched.since_at) <= reached - interval '15 minutes'
          ELSE k.last_at > reached - interval '15 minutes'
               OR k.last_at <= reached - interval '7 days' END
    ORDER BY k.source;
END
$$;
COMMENT ON FUNCTION tripmeter.watch_sources IS 'For the leader of that epoch: sources that were heard in each of 24 clock hours and then not for 15 minutes in which every shard was read without a gap (silent), and silent ones that were told and are heard again, or not for a week';
