-- What a settlement calls.  Everything that must stop it RAISEs, for in a pipeline a statement that
-- merely touches no row would not stop the COMMIT behind it:
--   TM001 fenced: another owner has the shard
--   TM002 already applied: the same settlement was committed before
--   TM003 a position is not where the settlement says it starts
--   TM004 sums differ: what is booked is not what was counted
-- The order of statements and of rows is the same everywhere, so that settlements of different
-- shards cannot deadlock.

CREATE FUNCTION tripmeter.settle_begin(
    shard_ integer, epoch_ bigint, seq_ bigint, time_ timestamptz, policy_ bigint,
    closed_ timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    held tripmeter.shard;
BEGIN
    SELECT * INTO held FROM tripmeter.shard s WHERE s.shard = shard_ FOR UPDATE;
    IF NOT FOUND OR held.epoch <> epoch_ THEN
        RAISE EXCEPTION 'shard % is in epoch %, not %', shard_, coalesce(held.epoch, 0), epoch_
            USING ERRCODE = 'TM001';
    END IF;
    IF held.settle_seq = seq_ + 1 THEN
        RAISE EXCEPTION 'settlement % of shard % in epoch % is committed', seq_, shard_, epoch_
            USING ERRCODE = 'TM002';
    END IF;
    IF held.settle_seq <> seq_ THEN
        RAISE EXCEPTION 'shard % is at settlement %, not %', shard_, held.settle_seq, seq_
            USING ERRCODE = 'TM003';
    END IF;
    UPDATE tripmeter.shard s
    SET settle_seq = seq_ + 1, shard_time = greatest(s.shard_time, time_), policy = policy_,
        closed_to = greatest(s.closed_to, closed_), settled_at = clock_timestamp(), claims = 0, trying = NULL
    WHERE s.shard = shard_;
END
$$;
COMMENT ON FUNCTION tripmeter.settle_begin IS 'Locks the shard and moves settle_seq from n to n + 1; raises TM001, TM002, TM003';

CREATE FUNCTION tripmeter.settle_progress(
    shard_ integer, topics text[], froms bigint[], nexts bigint[], processed_ bigint[],
    gaps_ bigint[], counted_ bigint[], keyed_ bigint[], duplicates_ bigint[], dead_ bigint[],
    ignored_ bigint[], times timestamptz[], last_offsets bigint[], fingerprints bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    d record;
BEGIN
    FOR d IN
        SELECT * FROM unnest(topics, froms, nexts, processed_, gaps_, counted_, keyed_, duplicates_,
                             dead_, ignored_, times, last_offsets, fingerprints)
            AS u(topic, from_, next_, processed, gaps, counted, keyed, duplicates, dead, ignored,
                 time_, last_, fingerprint)
    LOOP
        IF d.next_ - d.from_ <> d.processed + d.gaps OR least(d.processed, d.gaps, d.counted,
                d.keyed, d.duplicates, d.dead, d.ignored) < 0 THEN
            RAISE EXCEPTION '%/%: from % to % with % records and % gaps', d.topic, shard_, d.from_,
                d.next_, d.processed, d.gaps USING ERRCODE = 'TM004';
        END IF;
        UPDATE tripmeter.progress p
        SET next_offset = d.next_, processed = p.processed + d.processed, gaps = p.gaps + d.gaps,
            counted = p.counted + d.counted, keyed = p.keyed + d.keyed,
            duplicates = p.duplicates + d.duplicates, dead = p.dead + d.dead,
            ignored = p.ignored + d.ignored, record_time = greatest(p.record_time, d.time_),
            last_offset = d.last_, last_fingerprint = d.fingerprint
        WHERE p.topic = d.topic AND p.partition = shard_ AND p.next_offset = d.from_;
        IF NOT FOUND THEN
            INSERT INTO tripmeter.progress AS p
            VALUES (d.topic, shard_, d.from_, d.next_, d.processed, d.gaps, d.counted, d.keyed,
                    d.duplicates, d.dead, d.ignored, d.time_, d.last_, d.fingerprint)
            ON CONFLICT (topic, partition) DO NOTHING;
            IF NOT FOUND THEN
                RAISE EXCEPTION '%/% does not stand at offset %', d.topic, shard_, d.from_
                    USING ERRCODE = 'TM003';
            END IF;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION tripmeter.settle_progress IS 'Moves each topic of the shard from -> next; a topic without a row begins at from; raises TM003, TM004';

CREATE FUNCTION tripmeter.settle_check(
    what text, counted bigint, booked numeric, sent bigint, written bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF counted <> booked OR sent <> written THEN
        RAISE EXCEPTION '%: % events counted but % booked, % rows sent but % written', what, counted,
            booked, sent, written USING ERRCODE = 'TM004';
    END IF;
    RETURN written;
END
$$;
COMMENT ON FUNCTION tripmeter.settle_check IS 'Raises TM004 unless every counted event is booked once and every row was written';

CREATE FUNCTION tripmeter.settle_priced(
    shard_ integer, topics text[], offsets bigint[], indexes integer[], tenants text[],
    sources text[], ids text[], times timestamptz[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    wanted bigint;
    priced bigint;
BEGIN
    UPDATE tripmeter.unpriced u SET priced_at = p.at
    FROM unnest(topics, offsets, indexes, times) AS p(topic, record_offset, event_index, at)
    WHERE u.topic = p.topic AND u.partition = shard_ AND u.record_offset = p.record_offset
      AND u.event_index = p.event_index AND u.priced_at IS NULL;
    GET DIAGNOSTICS priced = ROW_COUNT;
    SELECT count(*) INTO wanted FROM unnest(topics) AS p(topic) WHERE p.topic IS NOT NULL;
    IF priced <> wanted THEN
        RAISE EXCEPTION 'unpriced: % events priced but % of them waited', wanted, priced
            USING ERRCODE = 'TM004';
    END IF;
    UPDATE tripmeter.unpriced u SET priced_at = c.at
    FROM unnest(topics, tenants, sources, ids, times) AS c(topic, tenant, source, id, at)
    WHERE c.topic IS NULL AND u.partition = shard_ AND u.tenant = c.tenant
      AND u.source = c.source AND u.id = c.id AND u.priced_at IS NULL;
    RETURN priced;
END
$$;
COMMENT ON FUNCTION tripmeter.settle_priced IS 'Unpriced events wait no longer: those with a position have a price now (raises TM004 when one did not wait), the others were replaced by corrections';

CREATE FUNCTION tripmeter.settle_transition(
    shard_ integer, fingerprint_ text, move_ text, t tripmeter.transition
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    rising CONSTANT text[] := ARRAY['info', 'warning', 'error', 'critical'];
    open tripmeter.episode;
    given tripmeter.alert_counter;
BEGIN
    SELECT * INTO given FROM tripmeter.alert_counter c WHERE c.fingerprint = fingerprint_ FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO tripmeter.alert_counter VALUES (fingerprint_, 0, 0) ON CONFLICT DO NOTHING;
        SELECT * INTO given FROM tripmeter.alert_counter c
        WHERE c.fingerprint = fingerprint_ FOR UPDATE;
    END IF;
    SELECT * INTO open FROM tripmeter.episode e
    WHERE e.fingerprint = fingerprint_ AND e.resolved_at IS NULL;
    IF move_ = 'resolve' THEN
        IF open.fingerprint IS NULL THEN
            RETURN false;
        END IF;
        UPDATE tripmeter.episode e
        SET resolved_at = t.at, changed_at = t.at, reason = t.reason
        WHERE e.fingerprint = fingerprint_ AND e.episode = open.episode;
    ELSIF open.fingerprint IS NULL THEN
        move_ := 'fire';
        given.episode := given.episode + 1;
        INSERT INTO tripmeter.episode
        VALUES (fingerprint_, given.episode, t.rule, t.tenant, t.labels, t.severity, t.step,
                t.step_amount, t.restricts, t.at, t.at, NULL, NULL, t.summary);
    ELSIF move_ = 'step' OR t.step > open.step THEN
        move_ := 'step';
        UPDATE tripmeter.episode e
        SET severity = CASE WHEN array_position(rising, t.severity)
                                 < array_position(rising, e.severity)
                            THEN e.severity ELSE t.severity END,
            step = t.step, step_amount = t.step_amount, restricts = e.restricts OR t.restricts,
            changed_at = t.at, summary = coalesce(t.summary, e.summary)
        WHERE e.fingerprint = fingerprint_ AND e.episode = open.episode;
    ELSE
        RETURN false;
    END IF;
    UPDATE tripmeter.alert_counter c SET episode = given.episode, seq = given.seq + 1
    WHERE c.fingerprint = fingerprint_;
    INSERT INTO tripmeter.transition
    VALUES (fingerprint_, given.episode, given.seq + 1, move_, t.rule, t.tenant, t.labels, t.severity,
            t.at, t.step, t.step_amount, t.crossed, t.crossed_amounts, t.value, t.threshold,
            t.is_money, t.unit, t.zone, t.resets_at,
            t.restricts OR (move_ = 'resolve' AND open.restricts), t.reason, t.summary, shard_);
    RETURN true;
END
$$;
COMMENT ON FUNCTION tripmeter.settle_transition IS 'One change of an alert: firing again while open is a step when it is a higher one, else nothing; resolving what is not open is nothing; gives episode and seq. True when a transition was written';

CREATE FUNCTION tripmeter.settle_transitions(
    shard_ integer, fingerprints text[], moves text[], rules text[], tenants text[],
    labels_ text[], severities text[], ats timestamptz[], steps integer[], step_amounts numeric[],
    crossed_ text[], crossed_amounts_ text[], values_ numeric[], thresholds numeric[],
    money boolean[], units text[], zones text[], resets timestamptz[], restricts_ boolean[],
    reasons text[], summaries text[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    d record;
    written bigint := 0;
BEGIN
    FOR d IN
        SELECT u.fingerprint, u.move, row(u.fingerprint, 0, 0, u.move, u.rule, u.tenant,
                u.labels::jsonb, u.severity, u.at, u.step, u.step_amount,
                u.crossed::integer[], u.crossed_amounts::numeric[], u.value,
                u.threshold, u.is_money, u.unit, u.zone, u.resets_at, u.restricts, u.reason,
                u.summary, shard_, now(), NULL)::tripmeter.transition AS t
        FROM unnest(fingerprints, moves, rules, tenants, labels_, severities, ats, steps,
                    step_amounts, crossed_, crossed_amounts_, values_, thresholds, money, units,
                    zones, resets, restricts_, reasons, summaries)
            WITH ORDINALITY
            AS u(fingerprint, move, rule, tenant, labels, severity, at, step, step_amount,
                 crossed, crossed_amounts, value, threshold, is_money, unit, zone, resets_at,
                 restricts, reason, summary, ord)
        ORDER BY u.ord
    LOOP
        IF tripmeter.settle_transition(shard_, d.fingerprint, d.move, d.t) THEN
            written := written + 1;
        END IF;
    END LOOP;
    RETURN written;
END
$$;
COMMENT ON FUNCTION tripmeter.settle_transitions IS 'Alert transitions in their order; see settle_transition. Returns how many were written';

CREATE FUNCTION tripmeter.close_days(now_ timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    e record;
    closed bigint := 0;
BEGIN
    FOR e IN
        SELECT o.*, (o.labels->>'period')::timestamptz + interval '1 day' AS day_end
        FROM tripmeter.episode o
        WHERE o.resolved_at IS NULL AND o.rule LIKE 'ingest/%' AND o.labels ? 'period'
          AND (o.labels->>'period')::timestamptz + interval '1 day' <= now_
        ORDER BY o.fingerprint
    LOOP
        IF tripmeter.settle_transition(NULL, e.fingerprint, 'resolve', row(e.fingerprint, 0, 0,
                'resolve', e.rule, e.tenant, e.labels, e.severity, e.day_end, e.step,
                e.step_amount, '{}'::integer[], '{}'::numeric[], NULL, NULL, false, NULL, 'UTC',
                NULL, false, 'period_rollover', e.summary, NULL, now(), NULL)::tripmeter.transition) THEN
            closed := closed + 1;
        END IF;
    END LOOP;
    RETURN closed;
END
$$;
COMMENT ON FUNCTION tripmeter.close_days IS 'Closes the alerts about the input whose UTC day is over; returns how many';

-- The open alert is the state: it was written with the settlement of the event that was too much.
CREATE FUNCTION tripmeter.is_halted(topic_ text, partition_ integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM tripmeter.episode e
                   WHERE e.resolved_at IS NULL AND e.rule = 'ingest/partition_halted'
                     AND e.labels->>'topic' = topic_ AND e.labels->>'partition' = partition_::text)
$$;
COMMENT ON FUNCTION tripmeter.is_halted IS 'More than half of the events of this partition could not be read, and no operator has had it read on since';

CREATE FUNCTION tripmeter.settle_commands(
    shard_ integer, ids bigint[], times timestamptz[], errors text[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    done bigint;
BEGIN
    WITH applied AS (
        UPDATE tripmeter.command c
        SET applied_at = clock_timestamp(), applied_time = d.time_, error = d.error,
            epoch = s.epoch, settle_seq = s.settle_seq, policy = s.policy,
            position = (SELECT coalesce(jsonb_object_agg(p.topic, p.next_offset), '{}')
                        FROM tripmeter.progress p WHERE p.partition = shard_)
        FROM unnest(ids, times, errors) AS d(id, time_, error), tripmeter.shard s
        WHERE c.id = d.id AND c.shard = shard_ AND c.applied_at IS NULL AND s.shard = shard_
        RETURNING c.id, c.kind, c.body, c.error
    ), enforced AS (
        UPDATE tripmeter.shard s SET enforcing = (a.body->>'on')::boolean
        FROM (SELECT body FROM applied WHERE kind = 'enforce' AND error IS NULL
              ORDER BY id DESC LIMIT 1) a
        WHERE s.shard = shard_
    ), retried AS (
        UPDATE tripmeter.dead_letter l
        SET retry_command = NULL,
            resolved_at = CASE WHEN a.error IS NULL THEN clock_timestamp() END
        FROM applied a WHERE a.kind = 'retry' AND l.retry_command = a.id
    )
    SELECT count(*) INTO done FROM applied;
    IF done <> cardinality(ids) THEN
        RAISE EXCEPTION '% commands of shard % applied but % were waiting', cardinality(ids), shard_,
            done USING ERRCODE = 'TM004';
    END IF;
    RETURN done;
END
$$;
COMMENT ON FUNCTION tripmeter.settle_commands IS 'Marks commands applied by this settlement, exactly once each; raises TM004';

-- ---- claim -------------------------------------------------------------------------------------
CREATE FUNCTION tripmeter.claim(
    shard_ integer, owner_ text, held_epoch bigint, held_seq bigint
) RETURNS TABLE (kept boolean, epoch bigint, settle_seq bigint, shard_time timestamptz,
                 policy bigint, enforcing boolean, attempting jsonb, claims integer,
                 closed_to timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    held tripmeter.shard;
    as_left boolean;
BEGIN
    -- Numbers above those of partitions (layout) are other things' shards.
    IF shard_ < 100000 AND shard_ >= (SELECT max(l.partitions) FROM tripmeter.layout l) THEN
        RAISE EXCEPTION 'added to the usage topics, it waits %', coalesce(
            (SELECT g.waits FROM tripmeter.growth g WHERE g.switched_at IS NULL),
            'until all of them have grown alike') USING ERRCODE = 'TM006';
    END IF;
    INSERT INTO tripmeter.shard (shard) VALUES (shard_) ON CONFLICT DO NOTHING;
    SELECT * INTO held FROM tripmeter.shard s WHERE s.shard = shard_ FOR UPDATE;
    as_left := held.owner IS NOT DISTINCT FROM owner_ AND held.epoch = held_epoch
        AND held.settle_seq = held_seq;
    IF NOT as_left THEN
        held.epoch := nextval('tripmeter.epoch');
        UPDATE tripmeter.shard s
        SET epoch = held.epoch, owner = owner_, claimed_at = clock_timestamp(),
            claims = s.claims + 1
        WHERE s.shard = shard_;
    END IF;
    RETURN QUERY SELECT as_left, held.epoch, held.settle_seq, held.shard_time, held.policy,
                        held.enforcing, held.attempting, held.claims + 1,
                        held.closed_to;
END
$$;
COMMENT ON FUNCTION tripmeter.claim IS 'Takes a shard over: waits for the predecessor''s commit, then gives the next epoch, unless owner, epoch and settle_seq are as the caller left them; raises TM006 for a shard that the layout does not have (yet)';

CREATE FUNCTION tripmeter.attempt(
    shard_ integer, epoch_ bigint, seq_ bigint, topics text[], offsets bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    held tripmeter.shard;
BEGIN
    SELECT * INTO held FROM tripmeter.shard s WHERE s.shard = shard_ FOR UPDATE;
    IF NOT FOUND OR held.epoch <> epoch_ OR held.settle_seq <> seq_ THEN
        RAISE EXCEPTION 'shard % is in epoch % at settlement %, not % at %', shard_, held.epoch,
            held.settle_seq, epoch_, seq_ USING ERRCODE = 'TM001';
    END IF;
    UPDATE tripmeter.shard s
    SET attempting = (SELECT coalesce(jsonb_object_agg(u.topic, u.until_), '{}')
                      FROM unnest(topics, offsets) AS u(topic, until_) WHERE u.until_ >= 0)
    WHERE s.shard = shard_;
END
$$;
COMMENT ON FUNCTION tripmeter.attempt IS 'Remembers up to which offset of each topic records are settled one by one; raises TM001';

CREATE FUNCTION tripmeter.try_record(shard_ integer, epoch_ bigint, topic_ text, offset_ bigint)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    held tripmeter.shard;
    times_ integer := 1;
BEGIN
    SELECT * INTO held FROM tripmeter.shard s WHERE s.shard = shard_ FOR UPDATE;
    IF NOT FOUND OR held.epoch <> epoch_ THEN
        RAISE EXCEPTION 'shard % is in epoch %, not %', shard_, held.epoch, epoch_
            USING ERRCODE = 'TM001';
    END IF;
    IF held.trying->>'topic' = topic_ AND (held.trying->>'offset')::bigint = offset_ THEN
        times_ := (held.trying->>'times')::integer + 1;
    END IF;
    UPDATE tripmeter.shard s
    SET trying = jsonb_build_object('topic', topic_, 'offset', offset_, 'times', times_)
    WHERE s.shard = shard_;
    RETURN times_;
END
$$;
COMMENT ON FUNCTION tripmeter.try_record IS 'Remembers that a record is about to be taken alone; answers how often it was, this time included; raises TM001';

-- ---- partitions --------------------------------------------------------------------------------
CREATE FUNCTION tripmeter.month_partition(of_table text, month timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT of_table || '_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM')
$$;
COMMENT ON FUNCTION tripmeter.month_partition IS 'Name of the partition of a month (UTC)';

CREATE FUNCTION tripmeter.make_partition(of_table text, month timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    name text := tripmeter.month_partition(of_table, month);
    until timestamptz := (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass(format('tripmeter.%I', name)) IS NOT NULL THEN
        RETURN false; -- there already, or retired: late rows of that month stay in the default
    END IF;
    EXECUTE format('CREATE TABLE tripmeter.%I (LIKE tripmeter.%I INCLUDING ALL)
                    WITH (fillfactor = 90)', name, of_table);
    EXECUTE format('COMMENT ON TABLE tripmeter.%I IS %L', name,
                   format('Rows of %s from %s until %s (UTC)', of_table,
                          (month AT TIME ZONE 'UTC')::date, (until AT TIME ZONE 'UTC')::date));
    EXECUTE format('LOCK TABLE tripmeter.%I IN ACCESS EXCLUSIVE MODE', of_table || '_default');
    PERFORM set_config('tripmeter.moves_partitions', 'on', true); -- final rows move, too
    EXECUTE format('WITH moved AS (DELETE FROM tripmeter.%I WHERE hour >= %L AND hour < %L
                                   RETURNING *)
                    INSERT INTO tripmeter.%I SELECT * FROM moved',
                   of_table || '_default', month, until, name);
    PERFORM set_config('tripmeter.moves_partitions', 'off', true);
    EXECUTE format('ALTER TABLE tripmeter.%I ATTACH PARTITION tripmeter.%I
                    FOR VALUES FROM (%L) TO (%L)', of_table, name, month, until);
    PERFORM tripmeter.guard_final(name);
    RETURN true;
END
$$;
COMMENT ON FUNCTION tripmeter.make_partition IS 'Makes the partition of a month and moves the rows that wait for it in the default partition';

CREATE FUNCTION tripmeter.maintain(
    ahead_months integer DEFAULT 2, keep_months integer DEFAULT NULL, drop_retired boolean DEFAULT false,
    at timestamptz DEFAULT now()
) RETURNS TABLE (action text, name text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    this_month timestamptz := date_trunc('month', at);
    -- What goes by the shards' clock; old traffic may be read long after its time.
    settled timestamptz := least(at, (SELECT max(s.shard_time) FROM tripmeter.shard s));
    of_table text;
    month timestamptz;
    old record;
BEGIN
    IF ahead_months NOT BETWEEN 0 AND 24 OR keep_months < 2 THEN
        RAISE EXCEPTION 'ahead_months must lie in 0..24 and keep_months be at least 2'
            USING ERRCODE = '22023';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('tripmeter.maintain'));
    DELETE FROM tripmeter.feature_slot s WHERE s.start_at < at - interval '2 days';
    DELETE FROM tripmeter.feature_hour h WHERE h.hour < at - interval '60 days';
    -- The engine forgets series in memory after 90 days: never later than this.
    DELETE FROM tripmeter.anomaly_series s WHERE s.taken_at < settled - interval '120 days';
    DELETE FROM tripmeter.anomaly a WHERE a.noticed_at < settled - interval '90 days'
        AND coalesce(a.over_at, a.noticed_at) < settled
            - CASE a.tier WHEN 'note' THEN interval '90 days' ELSE interval '400 days' END;
    DELETE FROM tripmeter.reservation r WHERE r.state IN ('settled', 'released', 'given up')
        AND r.state_at < settled - interval '90 days';
    DELETE FROM tripmeter.throttle t WHERE t.is_over AND t.began_at < at - interval '90 days';
    FOREACH of_table IN ARRAY ARRAY['tenant_fact', 'key_fact'] LOOP
        FOR month IN EXECUTE format(
            'SELECT generate_series($1, $1 + make_interval(months => $2), ''1 month'')
             UNION (SELECT DISTINCT date_trunc(''month'', hour) FROM tripmeter.%I LIMIT 240)
             ORDER BY 1', of_table || '_default') USING this_month, ahead_months
        LOOP
            IF tripmeter.make_partition(of_table, month) THEN
                action := 'made';
                name := tripmeter.month_partition(of_table, month);
                RETURN NEXT;
            END IF;
        END LOOP;
        FOR old IN
            SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = format('tripmeter.%I', of_table)::regclass
              AND c.relname ~ (of_table || '_[0-9]{4}_[0-9]{2}$')
              AND to_date(right(c.relname, 7), 'YYYY_MM')
                  < this_month - make_interval(months => keep_months)
            ORDER BY 1
        LOOP
            EXECUTE format('ALTER TABLE tripmeter.%I DETACH PARTITION tripmeter.%I', of_table,
                           old.relname);
            IF drop_retired THEN
                EXECUTE format('DROP TABLE tripmeter.%I', old.relname);
            END IF;
            action := CASE WHEN drop_retired THEN 'dropped' ELSE 'detached' END;
            name := old.relname;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION tripmeter.maintain IS 'Makes the partitions of this month and of ahead_months more, and of months that wait in the default partition; detaches (or drops) those more than keep_months old (NULL: keeps all). Runs with the owner''s rights, so that the engine may call it';
