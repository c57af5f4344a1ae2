-- Partitions that are added to the usage topics while engines run.
--
-- A tenant's events come in the partition that its hash gives, modulo their number.  When the number
-- grows to a multiple, what came in partition p comes in p or in an added partition that is p modulo
-- the old number, as soon as its producer has heard of it.  (To another number tenants would move
-- between the old partitions, and their events could not be made to wait: that is refused.)
--
--  1. Engines notice by themselves (the group assigns them partitions that the layout does not have)
--     and look (growth_look), any of them, again and again.  While the topics have not grown alike,
--     nothing moves.  Then the growth is a row: from how many, to how many, since when.
--  2. Added partitions wait unread: claim() refuses them.  Everything goes on with the old layout for
--     the duplicate window, in which every producer hears of the new partitions.
--  3. When it has passed, the ends of the old partitions are asked for, once, and are in the row.
--     Behind them only a producer that sends by a layout older than that has written anything for a
--     tenant that moves.
--  4. When the old partitions are settled to those ends, one transaction (growth_switch) changes the
--     layout, gives the tenants their new homes, takes every old shard from its owner (a new epoch:
--     what he settles next is refused, he drops what he knows and claims anew), makes the added
--     shards and moves the commands that wait.  No settlement is under way meanwhile.
--  5. Added shards are claimed like any other and read from offset 0.  What they know of a tenant is
--     what its old home has settled, and that is all there is: see 4.  An event whose own time lies
--     before the switch (shard.inherits_to) may have been counted there: it is looked up in the
--     record of settled events before it is booked.
--
-- A process may end anywhere in this: whoever looks next finds in the row what is to be done.
-- What comes late all the same, from a producer with an old layout, is counted where it comes and
-- not judged (tenant_split); the home adds it to what it knows when it next settles.

CREATE TABLE tripmeter.growth (
    number integer PRIMARY KEY CHECK (number >= 1),
    old_partitions integer NOT NULL CHECK (old_partitions >= 1),
    new_partitions integer NOT NULL
        CHECK (new_partitions > old_partitions AND new_partitions % old_partitions = 0),
    discovered_at timestamptz NOT NULL,
    waits_to timestamptz NOT NULL CHECK (waits_to >= discovered_at),
    ends jsonb,
    epoch bigint,
    switched_at timestamptz,
    waits text
);
CREATE UNIQUE INDEX growth_one ON tripmeter.growth ((true)) WHERE switched_at IS NULL;
COMMENT ON TABLE tripmeter.growth IS 'Each time partitions were added to the usage topics; at most one growth is under way';
COMMENT ON COLUMN tripmeter.growth.number IS 'Counts from 1';
COMMENT ON COLUMN tripmeter.growth.old_partitions IS 'Partitions of each topic before';
COMMENT ON COLUMN tripmeter.growth.new_partitions IS 'And after: a multiple';
COMMENT ON COLUMN tripmeter.growth.discovered_at IS 'When an engine found all topics grown alike';
COMMENT ON COLUMN tripmeter.growth.waits_to IS 'The duplicate window later: by then every producer knows the new partitions';
COMMENT ON COLUMN tripmeter.growth.ends IS 'Where the old partitions ended after that moment, {"usage/0": 4711}; NULL: not asked for yet. They are settled to there before anything moves';
COMMENT ON COLUMN tripmeter.growth.epoch IS 'Epochs from this one on are of the new layout; NULL: under way';
COMMENT ON COLUMN tripmeter.growth.switched_at IS 'When the new layout came into force; NULL: under way';
COMMENT ON COLUMN tripmeter.growth.waits IS 'What it waits for; NULL: nothing any more';

-- Where events of a tenant came says which partitioner its gateways have.  When that is murmur2 for
-- all of so many tenants that chance does not explain it, the new homes are known.  Else each is
-- where its next event comes, and until then where murmur2 would put it.
CREATE FUNCTION tripmeter.growth_switch(number_ integer) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    g tripmeter.growth;
    first_epoch bigint;
    known boolean;
    tenants text[];
    homes integer[];
BEGIN
    -- Who stores a command has looked up whose it is: not meanwhile.
    IF NOT pg_try_advisory_xact_lock(hashtext('tripmeter.layout')) THEN
        RETURN false;
    END IF;
    SELECT * INTO g FROM tripmeter.growth WHERE number = number_;
    -- Hashing takes longest: before anybody has to wait.
    SELECT array_agg(h.tenant), array_agg(h.home),
           coalesce(bool_and(h.home % g.old_partitions = h.shard) FILTER (WHERE h.seen), false)
           AND count(*) FILTER (WHERE h.seen) * ln(g.old_partitions) >= ln(1000000)
    INTO tenants, homes, known
    FROM (SELECT t.tenant, t.shard, tripmeter.murmur2_shard(t.tenant, g.new_partitions) AS home,
                 NOT t.provisional OR EXISTS (SELECT FROM tripmeter.period_total p
                                              WHERE p.tenant = t.tenant) AS seen
          FROM tripmeter.tenant_shard t WHERE t.shard < g.old_partitions) h;
    -- Waits for settlements under way; none begins before the end.  Then for loads.
    PERFORM FROM tripmeter.shard s WHERE s.shard < g.old_partitions ORDER BY s.shard FOR UPDATE;
    LOCK TABLE tripmeter.tenant_shard IN SHARE ROW EXCLUSIVE MODE;
    first_epoch := nextval('tripmeter.epoch');
    UPDATE tripmeter.shard s SET epoch = nextval('tripmeter.epoch'), owner = NULL
    WHERE s.shard < g.old_partitions;
    -- Each goes on as the one that its tenants come from.  Events may be 5 minutes ahead of their
    -- records.
    INSERT INTO tripmeter.shard (shard, shard_time, closed_to, policy, enforcing, inherits_to)
    SELECT n, p.shard_time, p.closed_to, p.policy, p.enforcing,
           coalesce(p.shard_time, 'epoch') + interval '5 minutes'
    FROM generate_series(g.old_partitions, g.new_partitions - 1) AS n
    JOIN tripmeter.shard p ON p.shard = n % g.old_partitions;
    INSERT INTO tripmeter.progress
    SELECT l.topic, n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'epoch', -1, 0
    FROM tripmeter.layout l, generate_series(g.old_partitions, g.new_partitions - 1) AS n;
    UPDATE tripmeter.layout SET partitions = g.new_partitions;

    UPDATE tripmeter.tenant_shard t
    SET shard = coalesce(u.home, tripmeter.murmur2_shard(t.tenant, g.new_partitions)),
        provisional = NOT known
    FROM tripmeter.tenant_shard s
    LEFT JOIN unnest(tenants, homes) AS u(tenant, home) ON u.tenant = s.tenant COLLATE "C"
    WHERE t.tenant = s.tenant AND t.shard < g.old_partitions
      AND (u.home IS DISTINCT FROM t.shard OR t.provisional = known);
    UPDATE tripmeter.command c SET shard = tripmeter.home_shard(c.tenant)
    WHERE c.applied_at IS NULL AND c.tenant IS NOT NULL AND c.kind NOT IN ('retry', 'resume');
    INSERT INTO tripmeter.command (shard, kind, body, actor, reason, created_at)
    SELECT n, c.kind, c.body, c.actor, c.reason, c.created_at
    FROM tripmeter.command c, generate_series(g.old_partitions, g.new_partitions - 1) AS n
    WHERE c.applied_at IS NULL AND c.tenant IS NULL AND c.kind <> 'resume'
      AND c.shard = n % g.old_partitions
    ORDER BY c.id, n;
    UPDATE tripmeter.growth
    SET switched_at = clock_timestamp(), epoch = first_epoch, waits = NULL WHERE number = number_;
    RETURN true;
END
$$;
COMMENT ON FUNCTION tripmeter.growth_switch IS 'The new layout comes into force: added shards, new homes, no shard has an owner; false when somebody stores a command just now. Only for growth_look';

CREATE FUNCTION tripmeter.growth_waits(g tripmeter.growth) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN clock_timestamp() < g.waits_to THEN
            format('until %s UTC, by when every producer knows the added partitions',
                   to_char(g.waits_to AT TIME ZONE 'UTC', 'HH24:MI:SS'))
        WHEN g.ends IS NULL THEN 'for the broker to say where the old partitions end'
        ELSE (SELECT format('until %s is settled to offset %s', e.key, e.value)
              FROM jsonb_each_text(g.ends) e
              LEFT JOIN tripmeter.progress p ON p.topic || '/' || p.partition = e.key
              WHERE coalesce(p.next_offset, 0) < e.value::bigint ORDER BY e.key LIMIT 1)
    END
$$;
COMMENT ON FUNCTION tripmeter.growth_waits IS 'What a growth under way waits for; NULL: for nothing any more';

CREATE FUNCTION tripmeter.growth_look(topics text[], counts integer[], wait_ms bigint)
RETURNS TABLE (partitions integer, ask_ends boolean, waits text) LANGUAGE plpgsql AS $$
DECLARE
    old_ integer;
    new_ integer := (SELECT max(c) FROM unnest(counts) c);
    wait_ interval := make_interval(secs => wait_ms / 1000.0);
    now_ timestamptz := clock_timestamp();
    odd record;
    g tripmeter.growth;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('tripmeter.growth'));
    SELECT max(l.partitions) INTO old_ FROM tripmeter.layout l;
    partitions := old_;
    ask_ends := false;
    SELECT * INTO odd FROM unnest(topics, counts) AS u(topic, count)
    WHERE u.count > old_ AND u.count % old_ <> 0 ORDER BY u.topic LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'usage topic % has % partitions, and % were settled: a topic can grow to % or another multiple, so that no tenant moves between the old ones; grow it on with kafka-topics.sh --alter, or give the new layout a database of its own',
            odd.topic, odd.count, old_, old_ * (1 + odd.count / old_) USING ERRCODE = 'TM007';
    END IF;
    SELECT * INTO odd FROM unnest(topics, counts) AS u(topic, count)
    WHERE u.count <> new_ ORDER BY u.topic LIMIT 1;
    IF FOUND THEN
        waits := format('until topic %s has %s partitions like the others, not %s: kafka-topics.sh --alter',
                        odd.topic, new_, odd.count);
        RETURN NEXT;
        RETURN;
    END IF;
    IF new_ > old_ THEN
        INSERT INTO tripmeter.growth (number, old_partitions, new_partitions, discovered_at, waits_to)
        VALUES ((SELECT coalesce(max(number), 0) + 1 FROM tripmeter.growth), old_, new_,
                now_, now_ + wait_) ON CONFLICT DO NOTHING;
        -- It grew once more: all begins anew.
        UPDATE tripmeter.growth
        SET new_partitions = new_, discovered_at = now_, waits_to = now_ + wait_, ends = NULL
        WHERE switched_at IS NULL AND new_partitions < new_;
        SELECT * INTO g FROM tripmeter.growth WHERE switched_at IS NULL;
        waits := tripmeter.growth_waits(g);
        IF waits IS NULL AND tripmeter.growth_switch(g.number) THEN
            partitions := new_;
        ELSE
            waits := coalesce(waits, 'for a change of contracts that is being stored');
            ask_ends := g.ends IS NULL AND clock_timestamp() >= g.waits_to;
            UPDATE tripmeter.growth u SET waits = growth_look.waits
            WHERE u.number = g.number AND u.waits IS DISTINCT FROM growth_look.waits;
        END IF;
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION tripmeter.growth_look IS 'What is to be done about topics that have so many partitions, and does what can be done now: begins a growth, ends it. Returns the partitions of the layout, whether growth_ends is wanted, and what is waited for; raises TM007 where they cannot grow so';

CREATE FUNCTION tripmeter.growth_ends(topics text[], parts integer[], ends_ bigint[])
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    -- Asked for after the wait, for growth_look said so; not of a growth that has begun anew since.
    UPDATE tripmeter.growth
    SET ends = (SELECT jsonb_object_agg(u.topic || '/' || u.part, u.end_)
                FROM unnest(topics, parts, ends_) AS u(topic, part, end_))
    WHERE switched_at IS NULL AND ends IS NULL AND clock_timestamp() >= waits_to;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION tripmeter.growth_ends IS 'Where the old partitions ended when it was asked after growth_look wanted to know: the growth waits until they are settled to there';
