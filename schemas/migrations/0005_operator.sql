-- What operators and programs change: every change becomes a command, which the owner of the shard
-- applies within two seconds of its commit.

CREATE FUNCTION tripmeter.murmur2(bytes bytea) RETURNS integer
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    mask constant bigint := 4294967295;
    m constant bigint := 1540483477; -- 0x5bd1e995
    size integer := octet_length(bytes);
    h bigint := (2538058380 # size); -- seed 0x9747b28c
    k bigint;
    i integer := 0;
BEGIN
    WHILE size - i >= 4 LOOP
        k := get_byte(bytes, i)::bigint | (get_byte(bytes, i + 1)::bigint << 8)
            | (get_byte(bytes, i + 2)::bigint << 16) | (get_byte(bytes, i + 3)::bigint << 24);
        k := (k * m) & mask;
        k := ((k # (k >> 24)) * m) & mask;
        h := ((h * m) & mask) # k;
        i := i + 4;
    END LOOP;
    IF size - i >= 3 THEN
        h := h # (get_byte(bytes, i + 2)::bigint << 16);
    END IF;
    IF size - i >= 2 THEN
        h := h # (get_byte(bytes, i + 1)::bigint << 8);
    END IF;
    IF size - i >= 1 THEN
        h := ((h # get_byte(bytes, i)::bigint) * m) & mask;
    END IF;
    h := ((h # (h >> 13)) * m) & mask;
    h := h # (h >> 15);
    RETURN CASE WHEN h > 2147483647 THEN h - 4294967296 ELSE h END;
END
$$;
COMMENT ON FUNCTION tripmeter.murmur2 IS 'MurmurHash2 as Kafka''s Java client and librdkafka''s murmur2 partitioners compute it';

CREATE FUNCTION tripmeter.murmur2_shard(tenant_ text, partitions_ integer) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT (tripmeter.murmur2(convert_to(tenant_, 'UTF8')) & 2147483647) % partitions_
$$;
COMMENT ON FUNCTION tripmeter.murmur2_shard IS 'The partition of so many that murmur2 gives a tenant';

CREATE FUNCTION tripmeter.home_shard(tenant_ text) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT shard FROM tripmeter.tenant_shard WHERE tenant = tenant_),
        tripmeter.murmur2_shard(tenant_, (SELECT min(partitions) FROM tripmeter.layout)))
$$;
COMMENT ON FUNCTION tripmeter.home_shard IS 'The shard that judges a tenant: where its events came, else where murmur2 would put them; NULL while the layout is not known';

-- A provisional home is locked until the caller commits: a load that moves it waits, and sees then
-- what the caller wrote.  Homes that are not provisional move only with the layout, which is kept from
-- changing until then.
CREATE FUNCTION tripmeter.lock_home(tenant_ text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    home integer;
BEGIN
    -- Waits for a layout that is being stored or changed; who does that waits for us.
    PERFORM pg_advisory_xact_lock_shared(hashtext('tripmeter.layout'));
    IF NOT EXISTS (SELECT FROM tripmeter.layout) THEN
        RETURN NULL;
    END IF;
    SELECT t.shard INTO home FROM tripmeter.tenant_shard t
    WHERE t.tenant = tenant_ AND NOT t.provisional;
    IF FOUND THEN
        RETURN home;
    END IF;
    INSERT INTO tripmeter.tenant_shard AS t (tenant, shard, provisional)
    VALUES (tenant_, tripmeter.home_shard(tenant_), true)
    ON CONFLICT (tenant) DO UPDATE SET shard = t.shard
    RETURNING t.shard INTO home;
    RETURN home;
END
$$;
COMMENT ON FUNCTION tripmeter.lock_home IS 'The home of a tenant, made provisional where it had none, and kept from moving until the end of the transaction';

CREATE FUNCTION tripmeter.command_tenant(
    tenant_ text, kind_ text, body_ jsonb, actor_ text, reason_ text
) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO tripmeter.command (shard, kind, tenant, body, actor, reason)
    VALUES (tripmeter.lock_home(tenant_), kind_, tenant_, body_, actor_, reason_)
    RETURNING id
$$;
COMMENT ON FUNCTION tripmeter.command_tenant IS 'A command for the home of a tenant';

CREATE FUNCTION tripmeter.command_all(kind_ text, body_ jsonb, actor_ text, reason_ text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('tripmeter.layout'));
    INSERT INTO tripmeter.command (shard, kind, body, actor, reason)
    SELECT s, kind_, body_, actor_, reason_
    FROM generate_series(0, (SELECT min(partitions) - 1 FROM tripmeter.layout)) AS s;
    IF NOT FOUND THEN
        INSERT INTO tripmeter.command (kind, body, actor, reason)
        VALUES (kind_, body_, actor_, reason_);
        RETURN;
    END IF;
    INSERT INTO tripmeter.command (shard, kind, body, actor, reason)
    VALUES (100000, kind_, body_, actor_, reason_); -- the fleet's
END
$$;
COMMENT ON FUNCTION tripmeter.command_all IS 'One command for every shard, the fleet''s among them';

-- ---- layout ------------------------------------------------------------------------------------
CREATE FUNCTION tripmeter.store_layout(topics text[], partitions_ integer)
RETURNS TABLE (topic text, partitions integer) LANGUAGE plpgsql AS $$
DECLARE
    waiting tripmeter.command;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('tripmeter.layout'));
    IF NOT EXISTS (SELECT FROM tripmeter.layout) THEN
        INSERT INTO tripmeter.layout (topic, partitions) SELECT u, partitions_ FROM unnest(topics) u;
        FOR waiting IN SELECT * FROM tripmeter.command c
                       WHERE c.shard IS NULL AND c.applied_at IS NULL ORDER BY c.id FOR UPDATE
        LOOP
            IF waiting.tenant IS NULL THEN
                PERFORM tripmeter.command_all(waiting.kind, waiting.body, waiting.actor,
                                              waiting.reason);
                UPDATE tripmeter.command c SET applied_at = now(), error = 'given to every shard'
                WHERE c.id = waiting.id;
            ELSE
                UPDATE tripmeter.command c SET shard = tripmeter.lock_home(waiting.tenant)
                WHERE c.id = waiting.id;
            END IF;
        END LOOP;
    END IF;
    RETURN QUERY SELECT l.topic, l.partitions FROM tripmeter.layout l ORDER BY 1;
END
$$;
COMMENT ON FUNCTION tripmeter.store_layout IS 'Stores the layout when there is none, gives waiting commands to their shards, and returns what is stored';

-- ---- tenants -----------------------------------------------------------------------------------
CREATE FUNCTION tripmeter.tenant_version_before() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    newest tripmeter.tenant_version;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        RAISE EXCEPTION 'versions of tenants are never changed: insert a new one'
            USING ERRCODE = '55000';
    END IF;
    IF NEW.zone IS NOT NULL THEN
        PERFORM now() AT TIME ZONE NEW.zone; -- refuses a name it does not know
    END IF;
    PERFORM substring(NEW.cycle FROM '[0-9]{4}-[0-9]{2}-[0-9]{2}')::date; -- and a date that is none
    SELECT * INTO newest FROM tripmeter.tenant_version v WHERE v.tenant = NEW.tenant
    ORDER BY v.version DESC LIMIT 1;
    IF NEW.currency <> newest.currency THEN
        IF EXISTS (SELECT FROM tripmeter.period_total p WHERE p.tenant = NEW.tenant
                   AND (p.cost <> 0 OR p.charge <> 0)) THEN
            RAISE EXCEPTION 'what tenant "%" has used is booked in %: amounts in % cannot be added to it',
                NEW.tenant, newest.currency, NEW.currency USING ERRCODE = '55000';
        END IF;
    END IF;
    IF NEW.version IS NULL THEN
        NEW.version := coalesce(newest.version, 0) + 1;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION tripmeter.tenant_version_before IS 'Numbers a new version; refuses changes of old ones, and another currency for what is booked in one';
CREATE TRIGGER tenant_version_before BEFORE INSERT OR UPDATE OR DELETE ON tripmeter.tenant_version
    FOR EACH ROW EXECUTE FUNCTION tripmeter.tenant_version_before();
CREATE TRIGGER tenant_version_kept BEFORE TRUNCATE ON tripmeter.tenant_version
    FOR EACH STATEMENT EXECUTE FUNCTION tripmeter.tenant_version_before();

CREATE FUNCTION tripmeter.tenant_version_after() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tripmeter.command_tenant(NEW.tenant, 'tenant',
                                     jsonb_build_object('version', NEW.version), NEW.actor,
                                     NEW.reason);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tripmeter.tenant_version_after IS 'Tells the tenant''s home of its new version';
CREATE TRIGGER tenant_version_after AFTER INSERT ON tripmeter.tenant_version
    FOR EACH ROW EXECUTE FUNCTION tripmeter.tenant_version_after();

-- ---- policy ------------------------------------------------------------------------------------
CREATE FUNCTION tripmeter.store_policy(
    hash_ bytea, body_ text, activate boolean, look boolean, actor_ text
) RETURNS TABLE (serial bigint, older bigint) LANGUAGE plpgsql AS $$
DECLARE
    current_ tripmeter.policy;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('tripmeter.policy'));
    SELECT * INTO current_ FROM tripmeter.policy p ORDER BY p.serial DESC LIMIT 1;
    serial := coalesce(current_.serial, 0);
    IF current_.hash = hash_ THEN
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT max(p.serial) INTO older FROM tripmeter.policy p WHERE p.hash = hash_;
    IF older IS NULL OR activate THEN
        serial := serial + 1;
        older := NULL;
        INSERT INTO tripmeter.policy VALUES (serial, hash_, body_, now(), actor_);
        PERFORM tripmeter.command_all('policy', jsonb_build_object('serial', serial), actor_,
                                      'a new policy');
        PERFORM tripmeter.command_all('rerate', '{}', actor_, 'a new policy');
        IF look THEN
            -- In the order in which settlements lock them.
            UPDATE tripmeter.tenant_shard t SET due_at = '1970-01-01 00:00:01Z'
            FROM (SELECT s.tenant FROM tripmeter.tenant_shard s ORDER BY s.tenant FOR UPDATE) o
            WHERE t.tenant = o.tenant;
        END IF;
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION tripmeter.store_policy IS 'The serial of a policy: the current one if it is that, else the next; `older` says that it was in force before and is not activated again. With look every tenant is looked at under a new one, also those that send nothing';

-- ---- operators ---------------------------------------------------------------------------------
CREATE FUNCTION tripmeter.percent_decode(part text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    out bytea := '';
    piece text;
BEGIN
    IF part !~ '^([A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+$' THEN
        RAISE EXCEPTION 'scope part "%" is not percent-encoded', part USING ERRCODE = '22023';
    END IF;
    FOR piece IN SELECT (regexp_matches(part, '%[0-9A-Fa-f]{2}|[^%]+', 'g'))[1] LOOP
        out := out || CASE WHEN piece LIKE '\%%' THEN decode(substr(piece, 2), 'hex')
                           ELSE convert_to(piece, 'UTF8') END;
    END LOOP;
    RETURN convert_from(out, 'UTF8');
END
$$;
COMMENT ON FUNCTION tripmeter.percent_decode IS 'A part of a scope as it was before percent-encoding';

CREATE FUNCTION tripmeter.operator_say(
    scope_ text, kind_ text, until_ timestamptz, actor_ text, reason_ text,
    since_ timestamptz DEFAULT now()
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    tenant_ text;
    word bigint;
BEGIN
    IF scope_ !~ '^(tenant/[^/]+|(key|feature|model|project|ip|quota)/[^/]+/[^/]+)$'
       OR (split_part(scope_, '/', 2) = '*' AND scope_ NOT LIKE 'feature/%') THEN
        RAISE EXCEPTION 'scope "%" is none of tenant/T, project/T/P, key/T/K, feature/T/F, feature/*/F, model/T/M, ip/T/A, quota/T/Q',
            scope_ USING ERRCODE = '22023';
    END IF;
    IF coalesce(reason_, '') = '' OR coalesce(actor_, '') = '' THEN
        RAISE EXCEPTION 'an operator''s word needs an actor and a reason' USING ERRCODE = '22023';
    END IF;
    tenant_ := split_part(scope_, '/', 2);
    IF tenant_ <> '*' THEN
        tenant_ := tripmeter.percent_decode(tenant_);
    END IF;
    PERFORM tripmeter.percent_decode(nullif(split_part(scope_, '/', 3), ''));
    INSERT INTO tripmeter.operator_word (scope, tenant, kind, since_at, until_at, actor, reason)
    VALUES (scope_, tenant_, kind_, since_, coalesce(until_, 'infinity'), actor_, reason_)
    RETURNING id INTO word;
    PERFORM tripmeter.command_tenant(tenant_, 'word', jsonb_build_object('word', word), actor_,
                                     reason_);
    RETURN word;
END
$$;
COMMENT ON FUNCTION tripmeter.operator_say IS 'allow, block or revoke a scope until a moment (NULL: until revoked); acts within two seconds of the commit';

CREATE FUNCTION tripmeter.enforce(on_ boolean, actor_ text, reason_ text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    word bigint;
BEGIN
    IF coalesce(reason_, '') = '' OR coalesce(actor_, '') = '' THEN
        RAISE EXCEPTION 'enforce needs an actor and a reason' USING ERRCODE = '22023';
    END IF;
    INSERT INTO tripmeter.enforcement (is_on, actor, reason) VALUES (on_, actor_, reason_)
    RETURNING id INTO word;
    PERFORM tripmeter.command_all('enforce', jsonb_build_object('on', on_), actor_, reason_);
    RETURN word;
END
$$;
COMMENT ON FUNCTION tripmeter.enforce IS 'False allows everything within two seconds of the commit, metering goes on; true enforces again';

CREATE FUNCTION tripmeter.dead_retry(
    topic_ text, partition_ integer, offset_ bigint, index_ integer, time_ timestamptz, key_ bytea,
    value_ bytea, actor_ text, reason_ text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    letter tripmeter.dead_letter;
    command_ bigint;
BEGIN
    SELECT * INTO letter FROM tripmeter.dead_letter l
    WHERE l.topic = topic_ AND l.partition = partition_ AND l.record_offset = offset_
      AND l.event_index = index_ FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no dead letter at %/%/%[%]', topic_, partition_, offset_, index_
            USING ERRCODE = '02000';
    END IF;
    IF letter.resolved_at IS NOT NULL OR letter.retry_command IS NOT NULL THEN
        RAISE EXCEPTION 'dead letter %/%/%[%] is %', topic_, partition_, offset_, index_,
            CASE WHEN letter.resolved_at IS NULL THEN 'being read again' ELSE 'resolved' END
            USING ERRCODE = '55000';
    END IF;
    INSERT INTO tripmeter.command (shard, kind, tenant, body, payload, actor, reason)
    VALUES (partition_, 'retry', letter.tenant,
            jsonb_build_object('topic', topic_, 'partition', partition_, 'offset', offset_,
                               'index', index_, 'key', encode(key_, 'hex'),
                               'time_ms', (extract(epoch FROM time_) * 1000)::bigint),
            value_, actor_, reason_)
    RETURNING id INTO command_;
    UPDATE tripmeter.dead_letter l SET retry_command = command_
    WHERE l.topic = topic_ AND l.partition = partition_ AND l.record_offset = offset_
      AND l.event_index = index_;
    RETURN command_;
END
$$;
COMMENT ON FUNCTION tripmeter.dead_retry IS 'Has a dead letter''s record, as read again by position, applied once more; refuses what is resolved or under way';

CREATE FUNCTION tripmeter.dead_resume(
    topic_ text, partition_ integer, actor_ text, reason_ text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    command_ bigint;
BEGIN
    IF NOT tripmeter.is_halted(topic_, partition_) THEN
        RAISE EXCEPTION '%/% is not halted for events that cannot be read', topic_, partition_
            USING ERRCODE = '02000';
    END IF;
    INSERT INTO tripmeter.command (shard, kind, body, actor, reason)
    VALUES (partition_, 'resume', jsonb_build_object('topic', topic_), actor_, reason_)
    RETURNING id INTO command_;
    RETURN command_;
END
$$;
COMMENT ON FUNCTION tripmeter.dead_resume IS 'Has a partition read on that halted because more than half of its events could not be read';
