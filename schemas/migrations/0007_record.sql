-- The record for disputes: every settled event as it was booked, kept for a while, a partition a day.
-- Nothing is ever updated here: a refund or a correction is a row of its own.

CREATE TABLE tripmeter.settled_event (
    recorded_at timestamptz NOT NULL,
    at timestamptz NOT NULL,
    hour timestamptz NOT NULL,
    period timestamptz NOT NULL,
    identity bigint NOT NULL,
    original bigint,
    content bigint NOT NULL,
    record_offset bigint NOT NULL,
    policy bigint NOT NULL,
    price_version timestamptz,
    charge_version timestamptz,
    requests bigint,
    attempts bigint,
    failed bigint,
    input_tokens bigint,
    cache_read_tokens bigint,
    cache_write_tokens bigint,
    output_tokens bigint,
    reasoning_tokens bigint,
    images bigint,
    audio_ms bigint,
    bytes bigint,
    unpriced bigint,
    unverified bigint,
    estimated bigint,
    zero_cost bigint,
    clamped bigint,
    partition integer NOT NULL,
    event_index integer NOT NULL,
    attempt integer NOT NULL,
    reversal boolean NOT NULL,
    kind text NOT NULL,
    topic text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    project text COLLATE "C" NOT NULL,
    feature text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    original_source text COLLATE "C",
    original_id text COLLATE "C",
    charge_rule text COLLATE "C",
    cost numeric(38, 9) NOT NULL,
    charge numeric(38, 9) NOT NULL,
    refunded numeric(38, 9) NOT NULL,
    estimate numeric(38, 9)
) PARTITION BY RANGE (recorded_at);
CREATE INDEX settled_event_identity ON tripmeter.settled_event (identity);
CREATE INDEX settled_event_original ON tripmeter.settled_event (original) WHERE original IS NOT NULL;
COMMENT ON TABLE tripmeter.settled_event IS 'The record for disputes: every settled event as it was booked; the rows of a period sum to its facts and totals. One partition a UTC day of record time';
COMMENT ON COLUMN tripmeter.settled_event.recorded_at IS 'Time of the record that brought the event; the partition is its UTC day';
COMMENT ON COLUMN tripmeter.settled_event.at IS 'When the usage happened, as the event says';
COMMENT ON COLUMN tripmeter.settled_event.hour IS 'Hour of the facts it was booked in';
COMMENT ON COLUMN tripmeter.settled_event.period IS 'Start of the billing period it was booked in';
COMMENT ON COLUMN tripmeter.settled_event.identity IS 'Hash of who and which: murmur2 of the tenant in the high half, XXH3 of source and id in the low one; the rows of a tenant lie side by side in the index (function settled_events_of)';
COMMENT ON COLUMN tripmeter.settled_event.original IS 'refund, correct: identity of the event it refers to; NULL: none';
COMMENT ON COLUMN tripmeter.settled_event.content IS 'Hash of counts, cost and body: a repeat says the same again';
COMMENT ON COLUMN tripmeter.settled_event.record_offset IS 'Offset of the record';
COMMENT ON COLUMN tripmeter.settled_event.policy IS 'Serial of the policy in force';
COMMENT ON COLUMN tripmeter.settled_event.price_version IS 'valid_from of the version of the model''s price that made the cost, 1970: it has none; in the price list of the policy. NULL: the event brought its cost, or has no price';
COMMENT ON COLUMN tripmeter.settled_event.charge_version IS 'The same of the customer''s price list; NULL: none made the charge';
COMMENT ON COLUMN tripmeter.settled_event.requests IS 'Requests it counts for; NULL: none, as of all counts';
COMMENT ON COLUMN tripmeter.settled_event.attempts IS 'Attempts at a provider';
COMMENT ON COLUMN tripmeter.settled_event.failed IS '1: the attempt failed';
COMMENT ON COLUMN tripmeter.settled_event.input_tokens IS 'Tokens in, cached ones included';
COMMENT ON COLUMN tripmeter.settled_event.cache_read_tokens IS 'Tokens in that were read from a cache';
COMMENT ON COLUMN tripmeter.settled_event.cache_write_tokens IS 'Tokens in that were written to a cache';
COMMENT ON COLUMN tripmeter.settled_event.output_tokens IS 'Tokens out, reasoning included';
COMMENT ON COLUMN tripmeter.settled_event.reasoning_tokens IS 'Tokens out that were reasoning';
COMMENT ON COLUMN tripmeter.settled_event.images IS 'Images';
COMMENT ON COLUMN tripmeter.settled_event.audio_ms IS 'Audio, milliseconds';
COMMENT ON COLUMN tripmeter.settled_event.bytes IS 'Bytes';
COMMENT ON COLUMN tripmeter.settled_event.unpriced IS '1: without a cost, booked with amount 0 until it is priced';
COMMENT ON COLUMN tripmeter.settled_event.unverified IS '1: could not be checked for having been counted before';
COMMENT ON COLUMN tripmeter.settled_event.estimated IS '1: the gateway estimated the counts';
COMMENT ON COLUMN tripmeter.settled_event.zero_cost IS '1: says that it cost nothing, although its tokens have a price';
COMMENT ON COLUMN tripmeter.settled_event.clamped IS '1: a subset larger than its whole, or a refund larger than what was left to refund';
COMMENT ON COLUMN tripmeter.settled_event.partition IS 'Partition, which is the shard';
COMMENT ON COLUMN tripmeter.settled_event.event_index IS 'Place of the event in the record''s array; 0 for a single event';
COMMENT ON COLUMN tripmeter.settled_event.attempt IS 'Attempt of the request, from 1';
COMMENT ON COLUMN tripmeter.settled_event.reversal IS 'No event of its own: takes back what the original booked (the line of a correction beside it books the replacement), or, kind price, adds what it costs since it has a price, or, kind refund, what it gives back since that is known';
COMMENT ON COLUMN tripmeter.settled_event.kind IS 'record, settle, refund, ... as in the event''s type; price: an unpriced event has a price now';
COMMENT ON COLUMN tripmeter.settled_event.topic IS 'Usage topic';
COMMENT ON COLUMN tripmeter.settled_event.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.settled_event.source IS 'Source of the event';
COMMENT ON COLUMN tripmeter.settled_event.id IS 'Its id: tenant, source and id together are its identity';
COMMENT ON COLUMN tripmeter.settled_event.project IS 'Project it was booked in';
COMMENT ON COLUMN tripmeter.settled_event.feature IS 'Feature; empty: the event names none, as of all names';
COMMENT ON COLUMN tripmeter.settled_event.provider IS 'Provider';
COMMENT ON COLUMN tripmeter.settled_event.model IS 'Model that served';
COMMENT ON COLUMN tripmeter.settled_event.key IS 'API key id';
COMMENT ON COLUMN tripmeter.settled_event.request_id IS 'Request';
COMMENT ON COLUMN tripmeter.settled_event.original_source IS 'Source of the event it refers to';
COMMENT ON COLUMN tripmeter.settled_event.original_id IS 'Id of the event it refers to';
COMMENT ON COLUMN tripmeter.settled_event.cost IS 'What was booked: what the provider charges, in units of the tenant''s currency; negative on refunds and reversals';
COMMENT ON COLUMN tripmeter.settled_event.charge IS 'What the customer pays';
COMMENT ON COLUMN tripmeter.settled_event.refunded IS 'The refund in cost';
COMMENT ON COLUMN tripmeter.settled_event.estimate IS 'Unpriced: what it is taken for by limits and breakers meanwhile, taken back by the line that prices it';
COMMENT ON COLUMN tripmeter.settled_event.charge_rule IS 'How the charge was made: price list, mark-up on the cost, or the one and, for models it does not have, the other; NULL: it is the cost';
CREATE TABLE tripmeter.settled_event_default PARTITION OF tripmeter.settled_event DEFAULT;
COMMENT ON TABLE tripmeter.settled_event_default IS 'Rows of settled_event whose day has no partition yet; function maintain_record moves them';
SELECT tripmeter.comment_columns('tripmeter.settled_event_default', 'tripmeter.settled_event');

CREATE FUNCTION tripmeter.settled_events_of(tenant_ text) RETURNS SETOF tripmeter.settled_event
LANGUAGE sql STABLE AS $$
    SELECT * FROM tripmeter.settled_event e
    WHERE e.identity >= tripmeter.murmur2(convert_to(tenant_, 'UTF8'))::bigint << 32
      AND e.identity <= (tripmeter.murmur2(convert_to(tenant_, 'UTF8'))::bigint << 32) + 4294967295
      AND e.tenant = tenant_
$$;
COMMENT ON FUNCTION tripmeter.settled_events_of IS 'The settled events of a tenant, found by the index; add WHERE recorded_at >= ... to look at fewer days';

-- ---- asked by the engine -------------------------------------------------------------------------
CREATE FUNCTION tripmeter.record_find(
    tenants text[], sources text[], ids text[], identities bigint[], since timestamptz[]
) RETURNS TABLE (ord bigint, kind text, content bigint, attempt integer, hour timestamptz,
                 period timestamptz, period_end timestamptz, replaced boolean,
                 project text, feature text, provider text, model text, key text,
                 events bigint, requests bigint, attempts bigint, failed bigint,
                 input_tokens bigint, cache_read_tokens bigint, cache_write_tokens bigint,
                 output_tokens bigint, reasoning_tokens bigint, images bigint, audio_ms bigint,
                 bytes bigint, unpriced bigint, unverified bigint, estimated bigint, zero_cost bigint,
                 clamped bigint, cost numeric, charge numeric, refunded numeric, estimate numeric,
                 left_cost numeric, left_charge numeric, listed boolean)
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT w.ord, e.kind, e.content, e.attempt, e.hour, e.period, p.period_end,
           coalesce(r.replaced, false), e.project, e.feature, e.provider, e.model, e.key,
           1::bigint, e.requests, e.attempts, e.failed, e.input_tokens, e.cache_read_tokens,
           e.cache_write_tokens, e.output_tokens, e.reasoning_tokens, e.images, e.audio_ms,
           e.bytes, coalesce(e.unpriced, 0) + coalesce(r.unpriced, 0), e.unverified, e.estimated,
           e.zero_cost, e.clamped, e.cost + coalesce(r.price, 0),
           e.charge + coalesce(r.price_charge, 0), e.refunded,
           coalesce(e.estimate, 0) + coalesce(r.estimate, 0),
           e.cost + coalesce(r.cost, 0), e.charge + coalesce(r.charge, 0),
           e.price_version IS NOT NULL OR coalesce(r.listed, false)
    FROM unnest(tenants, sources, ids, identities, since)
             WITH ORDINALITY AS w(tenant, source, id, identity, since, ord)
         CROSS JOIN LATERAL (
             SELECT * FROM tripmeter.settled_event s
             WHERE s.identity = w.identity AND s.recorded_at >= w.since AND s.tenant = w.tenant
               AND s.source = w.source AND s.id = w.id AND NOT s.reversal
             ORDER BY s.partition, s.topic, s.record_offset, s.event_index LIMIT 1) e
         LEFT JOIN LATERAL (
             SELECT sum(s.cost) AS cost, sum(s.charge) AS charge,
                    bool_or(s.reversal AND s.kind NOT IN ('price', 'refund')) AS replaced,
                    sum(s.cost) FILTER (WHERE s.kind = 'price') AS price,
                    sum(s.charge) FILTER (WHERE s.kind = 'price') AS price_charge,
                    (sum(s.unpriced) FILTER (WHERE s.kind = 'price'))::bigint AS unpriced,
                    sum(s.estimate) FILTER (WHERE s.kind = 'price') AS estimate,
                    bool_or(s.kind = 'price' AND s.price_version IS NOT NULL) AS listed
             FROM tripmeter.settled_event s
             WHERE s.original = w.identity AND s.recorded_at >= e.recorded_at - interval '1 day'
               AND s.tenant = w.tenant AND s.original_source = w.source
               AND s.original_id = w.id AND (s.reversal OR s.kind = 'refund')) r ON true
         LEFT JOIN tripmeter.period_total p
             ON p.tenant = w.tenant AND p.project = '' AND p.period = e.period
    ORDER BY w.ord;
END
$$;
COMMENT ON FUNCTION tripmeter.record_find IS 'Of identities those that the record has: as booked, what refunds left of it, and whether a correction replaced it; looks only at days since then';

-- ---- days ---------------------------------------------------------------------------------------
CREATE FUNCTION tripmeter.record_day(day date) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'settled_event_' || to_char(day, 'YYYY_MM_DD')
$$;
COMMENT ON FUNCTION tripmeter.record_day IS 'Name of the partition of a UTC day';

CREATE FUNCTION tripmeter.make_record_day(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name text := tripmeter.record_day(day);
    since timestamptz := day::timestamp AT TIME ZONE 'UTC';
    until timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass(format('tripmeter.%I', name)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE tripmeter.%I (LIKE tripmeter.settled_event INCLUDING ALL)', name);
    EXECUTE format('COMMENT ON TABLE tripmeter.%I IS %L', name,
                   format('Rows of settled_event of %s (UTC)', day));
    LOCK TABLE tripmeter.settled_event_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('WITH moved AS (DELETE FROM tripmeter.settled_event_default
                                   WHERE recorded_at >= %L AND recorded_at < %L RETURNING *)
                    INSERT INTO tripmeter.%I SELECT * FROM moved', since, until, name);
    EXECUTE format('ALTER TABLE tripmeter.settled_event ATTACH PARTITION tripmeter.%I
                    FOR VALUES FROM (%L) TO (%L)', name, since, until);
    RETURN true;
END
$$;
COMMENT ON FUNCTION tripmeter.make_record_day IS 'Makes the partition of a UTC day and moves the rows that wait for it in the default partition';

CREATE FUNCTION tripmeter.record_days()
RETURNS TABLE (day date, name text, size bigint) LANGUAGE sql STABLE AS $$
    SELECT to_date(right(c.relname, 10), 'YYYY_MM_DD'), c.relname::text,
           pg_total_relation_size(c.oid)
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'tripmeter.settled_event'::regclass
      AND c.relname ~ '^settled_event_[0-9]{4}_[0-9]{2}_[0-9]{2}$'
    ORDER BY 1
$$;
COMMENT ON FUNCTION tripmeter.record_days IS 'The days of the record and their size in bytes, indexes included';

CREATE FUNCTION tripmeter.maintain_record(
    ahead_days integer DEFAULT 3, keep_days integer DEFAULT 90, keep_bytes bigint DEFAULT NULL,
    at timestamptz DEFAULT now()
) RETURNS TABLE (action text, name text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    today date := (at AT TIME ZONE 'UTC')::date;
    oldest timestamptz := ((today - keep_days)::timestamp) AT TIME ZONE 'UTC';
    wanted date;
    old record;
    total bigint;
BEGIN
    IF keep_days < 1 OR keep_bytes < 1 THEN
        RAISE EXCEPTION 'keep_days and keep_bytes must be at least 1' USING ERRCODE = '22023';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('tripmeter.maintain'));
    DELETE FROM tripmeter.settled_event_default WHERE recorded_at < oldest;
    DELETE FROM tripmeter.unpriced WHERE priced_at < oldest;
    FOR wanted IN
        SELECT today + n FROM generate_series(0, ahead_days) n
        UNION (SELECT DISTINCT (recorded_at AT TIME ZONE 'UTC')::date
               FROM tripmeter.settled_event_default LIMIT 400)
        ORDER BY 1
    LOOP
        IF tripmeter.make_record_day(wanted) THEN
            action := 'made';
            name := tripmeter.record_day(wanted);
            RETURN NEXT;
        END IF;
    END LOOP;
    SELECT sum(d.size) INTO total FROM tripmeter.record_days() d;
    FOR old IN SELECT d.* FROM tripmeter.record_days() d WHERE d.day < today ORDER BY d.day LOOP
        IF old.day < today - keep_days THEN
            action := 'dropped';
        ELSIF total > keep_bytes THEN
            action := 'dropped for size';
        ELSE
            EXIT;
        END IF;
        EXECUTE format('DROP TABLE tripmeter.%I', old.name);
        total := total - old.size;
        name := old.name;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION tripmeter.maintain_record IS 'Makes the partitions of today and ahead_days more (-1: none), and of days that wait in the default partition; drops those older than keep_days (and the rows of unpriced that were priced before that) and, while all together are larger than keep_bytes (NULL: any size), the oldest but today. Runs with the owner''s rights, so that the engine may call it';
