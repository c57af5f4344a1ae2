-- What is counted: facts by the hour, totals of periods, and what is kept event by event.
-- An absent name (project, feature, ...) is stored as ''.

-- ---- facts and totals -------------------------------------------------------------------------
CREATE TABLE tripmeter.tenant_fact (
    tenant text COLLATE "C" NOT NULL,
    project text COLLATE "C" NOT NULL,
    feature text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    hour timestamptz NOT NULL,
    period timestamptz NOT NULL,
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
    PRIMARY KEY (tenant, hour, project, feature, provider, model, period)
) PARTITION BY RANGE (hour);
-- A row is written again with each settlement of its hour: pages keep room for the next version of some
-- of their rows, so that the index is left alone.
CREATE TABLE tripmeter.tenant_fact_default PARTITION OF tripmeter.tenant_fact DEFAULT
    WITH (fillfactor = 90);
-- Rows come nearly in the order of their hours: this costs a settlement next to nothing.
CREATE INDEX tenant_fact_hour ON tripmeter.tenant_fact USING brin (hour);

CREATE TABLE tripmeter.key_fact (
    tenant text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    hour timestamptz NOT NULL,
    period timestamptz NOT NULL,
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
    PRIMARY KEY (tenant, hour, key, period)
) PARTITION BY RANGE (hour);
CREATE TABLE tripmeter.key_fact_default PARTITION OF tripmeter.key_fact DEFAULT
    WITH (fillfactor = 90);

CREATE TABLE tripmeter.period_total (
    tenant text COLLATE "C" NOT NULL,
    project text COLLATE "C" NOT NULL,
    period timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
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
    PRIMARY KEY (tenant, project, period),
    CHECK (period < period_end)
);
COMMENT ON COLUMN tripmeter.tenant_fact.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.tenant_fact.project IS 'Project';
COMMENT ON COLUMN tripmeter.tenant_fact.feature IS 'Feature';
COMMENT ON COLUMN tripmeter.tenant_fact.provider IS 'Provider';
COMMENT ON COLUMN tripmeter.tenant_fact.model IS 'Model that served';
COMMENT ON COLUMN tripmeter.tenant_fact.hour IS 'Start of the tenant''s local clock hour, or UTC midnight where that lies inside it: UTC days and local hours are both exact sums of rows';
COMMENT ON COLUMN tripmeter.tenant_fact.period IS 'Start of the billing period the usage was booked in';
COMMENT ON COLUMN tripmeter.key_fact.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.key_fact.key IS 'API key id, never the secret';
COMMENT ON COLUMN tripmeter.key_fact.hour IS 'As in tenant_fact';
COMMENT ON COLUMN tripmeter.key_fact.period IS 'Start of the billing period the usage was booked in';
COMMENT ON COLUMN tripmeter.period_total.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.period_total.project IS 'Empty: the whole tenant; else one of its declared projects';
COMMENT ON COLUMN tripmeter.period_total.period IS 'Start of the billing period';
COMMENT ON COLUMN tripmeter.period_total.period_end IS 'Its end, which is the start of the next';
COMMENT ON TABLE tripmeter.tenant_fact IS 'Usage by tenant, project, feature, provider, model and hour; one partition a month (UTC) of hour';
COMMENT ON TABLE tripmeter.tenant_fact_default IS 'Rows of tenant_fact whose month has no partition yet; function maintain moves them';
COMMENT ON TABLE tripmeter.key_fact IS 'Usage by tenant, API key and hour, of the events that name a key; one partition a month (UTC) of hour';
COMMENT ON TABLE tripmeter.key_fact_default IS 'Rows of key_fact whose month has no partition yet; function maintain moves them';
COMMENT ON TABLE tripmeter.period_total IS 'Running totals of billing periods: what limits are compared with; the sum of the facts booked in the period';

-- The amounts are the same columns everywhere; partitions made later take over these comments.
CREATE FUNCTION tripmeter.comment_columns(of regclass, like_ regclass) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    a record;
BEGIN
    FOR a IN
        SELECT attname, col_description(like_, attnum) AS what
        FROM pg_attribute WHERE attrelid = like_ AND attnum > 0 AND NOT attisdropped
    LOOP
        IF a.what IS NOT NULL AND EXISTS (SELECT FROM pg_attribute
                                          WHERE attrelid = of AND attname = a.attname) THEN
            EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', of, a.attname, a.what);
        END IF;
    END LOOP;
END
$$;

DO $$
DECLARE
    c record;
    of text;
BEGIN
    FOR c IN SELECT * FROM (VALUES
        ('events', 'Events booked in this row, of every kind'),
        ('requests', 'Requests: first attempts that succeeded or cost money'),
        ('attempts', 'Attempts at a provider, retries and fallbacks included'),
        ('failed', 'Attempts that failed'),
        ('input_tokens', 'Tokens in, cached ones included'),
        ('cache_read_tokens', 'Tokens in that were read from a cache'),
        ('cache_write_tokens', 'Tokens in that were written to a cache'),
        ('output_tokens', 'Tokens out, reasoning included'),
        ('reasoning_tokens', 'Tokens out that were reasoning'),
        ('images', 'Images'),
        ('audio_ms', 'Audio, milliseconds'),
        ('bytes', 'Bytes'),
        ('unpriced', 'Events without a cost, booked with amount 0 until they are priced'),
        ('unverified', 'Events too old to be checked for having been counted before, and refunds of unknown originals'),
        ('estimated', 'Events whose counts the gateway estimated'),
        ('zero_cost', 'Events that say they cost nothing, although their tokens have a price'),
        ('clamped', 'Events with subsets larger than their whole, clamped'),
        ('cost', 'What the providers charge, net of refunds, in units of the tenant''s currency'),
        ('charge', 'What the customer pays: by a price list of its own, or cost and mark-up; equal to cost without either'),
        ('refunded', 'The refunds in cost, as a negative number; cost - refunded is gross'),
        ('estimate', 'What its unpriced events are taken for by limits and breakers until they have a price; no money, in no invoice')) AS v(name, what)
    LOOP
        FOREACH of IN ARRAY ARRAY['tenant_fact', 'key_fact', 'period_total'] LOOP
            EXECUTE format('COMMENT ON COLUMN tripmeter.%I.%I IS %L', of, c.name, c.what);
        END LOOP;
    END LOOP;
    PERFORM tripmeter.comment_columns('tripmeter.tenant_fact_default', 'tripmeter.tenant_fact');
    PERFORM tripmeter.comment_columns('tripmeter.key_fact_default', 'tripmeter.key_fact');
END
$$;

CREATE TABLE tripmeter.quota_state (
    tenant text COLLATE "C" NOT NULL,
    quota text COLLATE "C" NOT NULL,
    project text COLLATE "C" NOT NULL,
    period timestamptz NOT NULL,
    spent bigint NOT NULL CHECK (spent BETWEEN 0 AND 4294967295),
    spent_amount numeric(47, 9) NOT NULL CHECK (spent_amount >= 0),
    is_open boolean NOT NULL,
    blocked boolean NOT NULL,
    since_at timestamptz NOT NULL,
    day timestamptz NOT NULL,
    day_number bigint NOT NULL,
    day_before numeric(47, 9) NOT NULL,
    day_warned boolean NOT NULL,
    day_open boolean NOT NULL,
    forecast_told boolean NOT NULL,
    forecast_open boolean NOT NULL,
    forecast numeric(47, 9) NOT NULL,
    PRIMARY KEY (tenant, quota, project, period)
);
CREATE INDEX quota_state_open ON tripmeter.quota_state (tenant)
    WHERE is_open OR blocked OR day_open OR forecast_open;
COMMENT ON TABLE tripmeter.quota_state IS 'What each quota remembers in a period, so that every step fires once';
COMMENT ON COLUMN tripmeter.quota_state.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.quota_state.quota IS 'Name of the quota in the plan';
COMMENT ON COLUMN tripmeter.quota_state.project IS 'Project; empty: the whole tenant';
COMMENT ON COLUMN tripmeter.quota_state.period IS 'Start of the billing period';
COMMENT ON COLUMN tripmeter.quota_state.spent IS 'Percent of the highest step that has fired; 0: none';
COMMENT ON COLUMN tripmeter.quota_state.spent_amount IS 'The highest step that has fired of those that are amounts, in the meter of the quota (money in units of the tenant''s currency); 0: none';
COMMENT ON COLUMN tripmeter.quota_state.is_open IS 'An alert of it is open';
COMMENT ON COLUMN tripmeter.quota_state.blocked IS 'It restricts traffic now';
COMMENT ON COLUMN tripmeter.quota_state.since_at IS 'Shard time of the last change';
COMMENT ON COLUMN tripmeter.quota_state.day IS 'Local midnight of the day that day_before is of; 1970: none yet, or the quota has no pacing';
COMMENT ON COLUMN tripmeter.quota_state.day_number IS 'Days of the period from that day on, itself included';
COMMENT ON COLUMN tripmeter.quota_state.day_before IS 'What had been used of the period when the first event of that day came, in the meter of the quota (money in units of the tenant''s currency)';
COMMENT ON COLUMN tripmeter.quota_state.day_warned IS 'That day''s warning was given: it took more than 1.5 times its share';
COMMENT ON COLUMN tripmeter.quota_state.day_open IS 'The alert of that is open';
COMMENT ON COLUMN tripmeter.quota_state.forecast_told IS 'The notice of this period was given: it will end above the limit';
COMMENT ON COLUMN tripmeter.quota_state.forecast_open IS 'The alert of that is open';
COMMENT ON COLUMN tripmeter.quota_state.forecast IS 'The use at the end of the period as it was told; 0: nothing was';

-- ---- event by event --------------------------------------------------------------------------

CREATE TABLE tripmeter.dead_letter (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    event_index integer NOT NULL,
    at timestamptz NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    retryable boolean NOT NULL,
    tenant text COLLATE "C",
    source text,
    id text,
    hash text NOT NULL,
    fingerprint bigint NOT NULL,
    payload bytea,
    remembered boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    retry_command bigint REFERENCES tripmeter.command,
    retries integer NOT NULL DEFAULT 0,
    resolved_at timestamptz,
    PRIMARY KEY (topic, partition, record_offset, event_index)
);
COMMENT ON TABLE tripmeter.dead_letter IS 'Events that could not be read or booked, each with its reason';
COMMENT ON COLUMN tripmeter.dead_letter.topic IS 'Usage topic';
COMMENT ON COLUMN tripmeter.dead_letter.partition IS 'Partition';
COMMENT ON COLUMN tripmeter.dead_letter.record_offset IS 'Offset of the record';
COMMENT ON COLUMN tripmeter.dead_letter.event_index IS 'Place of the event in the record''s array; 0 for a single event';
COMMENT ON COLUMN tripmeter.dead_letter.at IS 'Time of the record';
COMMENT ON COLUMN tripmeter.dead_letter.reason IS 'Why: a name of the frozen list';
COMMENT ON COLUMN tripmeter.dead_letter.detail IS 'Which member and what is wrong with it';
COMMENT ON COLUMN tripmeter.dead_letter.retryable IS 'Reading it again later may succeed';
COMMENT ON COLUMN tripmeter.dead_letter.tenant IS 'Tenant, when it could be read';
COMMENT ON COLUMN tripmeter.dead_letter.source IS 'Source, when it could be read';
COMMENT ON COLUMN tripmeter.dead_letter.id IS 'Id, when it could be read';
COMMENT ON COLUMN tripmeter.dead_letter.hash IS 'SHA-256 of the record''s value, hexadecimal';
COMMENT ON COLUMN tripmeter.dead_letter.fingerprint IS 'XXH3 of time, key and value of the record (as a signed number)';
COMMENT ON COLUMN tripmeter.dead_letter.payload IS 'The record''s value; NULL unless the configuration keeps it';
COMMENT ON COLUMN tripmeter.dead_letter.remembered IS 'The record of settled events refused it: a repeat within the duplicate window is a duplicate, not refused again';
COMMENT ON COLUMN tripmeter.dead_letter.created_at IS 'When it was settled';
COMMENT ON COLUMN tripmeter.dead_letter.published_at IS 'When it was written to the dead-letter topic; NULL: not yet';
COMMENT ON COLUMN tripmeter.dead_letter.retry_command IS 'Command that reads it again now; NULL: none under way';
COMMENT ON COLUMN tripmeter.dead_letter.retries IS 'How often it was read again and refused again';
COMMENT ON COLUMN tripmeter.dead_letter.resolved_at IS 'When reading it again succeeded; NULL: it counts as refused';
CREATE INDEX dead_letter_unpublished ON tripmeter.dead_letter (partition, record_offset) WHERE published_at IS NULL;
CREATE INDEX dead_letter_created ON tripmeter.dead_letter (created_at);

CREATE TABLE tripmeter.kept_event (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    event_index integer NOT NULL,
    kind text NOT NULL,
    at timestamptz NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    project text,
    feature text,
    key text,
    model text,
    request_id text,
    amount numeric(38, 9),
    reference text,
    body jsonb,
    PRIMARY KEY (topic, partition, record_offset, event_index)
);
COMMENT ON TABLE tripmeter.kept_event IS 'Reservations, releases and corrections, kept whole';
COMMENT ON COLUMN tripmeter.kept_event.topic IS 'Usage topic';
COMMENT ON COLUMN tripmeter.kept_event.partition IS 'Partition';
COMMENT ON COLUMN tripmeter.kept_event.record_offset IS 'Offset of the record';
COMMENT ON COLUMN tripmeter.kept_event.event_index IS 'Place of the event in the record''s array; 0 for a single event';
COMMENT ON COLUMN tripmeter.kept_event.kind IS 'reserve, release, correct';
COMMENT ON COLUMN tripmeter.kept_event.at IS 'Time of the event';
COMMENT ON COLUMN tripmeter.kept_event.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.kept_event.source IS 'Source of the event';
COMMENT ON COLUMN tripmeter.kept_event.id IS 'Its id';
COMMENT ON COLUMN tripmeter.kept_event.project IS 'Project';
COMMENT ON COLUMN tripmeter.kept_event.feature IS 'Feature';
COMMENT ON COLUMN tripmeter.kept_event.key IS 'API key id';
COMMENT ON COLUMN tripmeter.kept_event.model IS 'Model';
COMMENT ON COLUMN tripmeter.kept_event.request_id IS 'Request';
COMMENT ON COLUMN tripmeter.kept_event.amount IS 'reserve: the estimated cost';
COMMENT ON COLUMN tripmeter.kept_event.reference IS 'reserve and release: the reservation; correct: the id it replaces';
COMMENT ON COLUMN tripmeter.kept_event.body IS 'data of the event';
CREATE INDEX kept_event_tenant ON tripmeter.kept_event (tenant, at);

CREATE TABLE tripmeter.gateway_decision (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    event_index integer NOT NULL,
    at timestamptz NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    project text,
    feature text,
    key text,
    model text,
    request_id text,
    outcome text,
    reason text,
    estimated_cost numeric(38, 9),
    body jsonb,
    PRIMARY KEY (topic, partition, record_offset, event_index)
);
COMMENT ON TABLE tripmeter.gateway_decision IS 'What gateways say they did with calls: for the weekly review, no balance';
COMMENT ON COLUMN tripmeter.gateway_decision.topic IS 'Usage topic';
COMMENT ON COLUMN tripmeter.gateway_decision.partition IS 'Partition';
COMMENT ON COLUMN tripmeter.gateway_decision.record_offset IS 'Offset of the record';
COMMENT ON COLUMN tripmeter.gateway_decision.event_index IS 'Place of the event in the record''s array; 0 for a single event';
COMMENT ON COLUMN tripmeter.gateway_decision.at IS 'Time of the event';
COMMENT ON COLUMN tripmeter.gateway_decision.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.gateway_decision.source IS 'Source of the event';
COMMENT ON COLUMN tripmeter.gateway_decision.id IS 'Its id';
COMMENT ON COLUMN tripmeter.gateway_decision.project IS 'Project';
COMMENT ON COLUMN tripmeter.gateway_decision.feature IS 'Feature';
COMMENT ON COLUMN tripmeter.gateway_decision.key IS 'API key id';
COMMENT ON COLUMN tripmeter.gateway_decision.model IS 'Model';
COMMENT ON COLUMN tripmeter.gateway_decision.request_id IS 'Request';
COMMENT ON COLUMN tripmeter.gateway_decision.outcome IS 'allow, throttle, downgrade, block';
COMMENT ON COLUMN tripmeter.gateway_decision.reason IS 'Code the gateway gave';
COMMENT ON COLUMN tripmeter.gateway_decision.estimated_cost IS 'What the call would have cost; NULL: not said';
COMMENT ON COLUMN tripmeter.gateway_decision.body IS 'data of the event';
CREATE INDEX gateway_decision_tenant ON tripmeter.gateway_decision (tenant, at);

CREATE TABLE tripmeter.customer_value (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    event_index integer NOT NULL,
    at timestamptz NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    project text,
    feature text,
    key text,
    model text,
    request_id text,
    name text,
    body jsonb,
    PRIMARY KEY (topic, partition, record_offset, event_index)
);
COMMENT ON TABLE tripmeter.customer_value IS 'Moments at which a customer reached business value: for the weekly review';
COMMENT ON COLUMN tripmeter.customer_value.topic IS 'Usage topic';
COMMENT ON COLUMN tripmeter.customer_value.partition IS 'Partition';
COMMENT ON COLUMN tripmeter.customer_value.record_offset IS 'Offset of the record';
COMMENT ON COLUMN tripmeter.customer_value.event_index IS 'Place of the event in the record''s array; 0 for a single event';
COMMENT ON COLUMN tripmeter.customer_value.at IS 'Time of the event';
COMMENT ON COLUMN tripmeter.customer_value.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.customer_value.source IS 'Source of the event';
COMMENT ON COLUMN tripmeter.customer_value.id IS 'Its id';
COMMENT ON COLUMN tripmeter.customer_value.project IS 'Project';
COMMENT ON COLUMN tripmeter.customer_value.feature IS 'Feature';
COMMENT ON COLUMN tripmeter.customer_value.key IS 'API key id';
COMMENT ON COLUMN tripmeter.customer_value.model IS 'Model';
COMMENT ON COLUMN tripmeter.customer_value.request_id IS 'Request';
COMMENT ON COLUMN tripmeter.customer_value.name IS 'What was reached';
COMMENT ON COLUMN tripmeter.customer_value.body IS 'data of the event';
CREATE INDEX customer_value_tenant ON tripmeter.customer_value (tenant, at);

CREATE TABLE tripmeter.ledger (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    event_index integer NOT NULL,
    at timestamptz NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    reference text COLLATE "C" NOT NULL,
    amount numeric(38, 9) NOT NULL,
    body jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, reference)
);
COMMENT ON TABLE tripmeter.ledger IS 'Payments in: balances grow once per reference, for ever';
COMMENT ON COLUMN tripmeter.ledger.topic IS 'Usage topic';
COMMENT ON COLUMN tripmeter.ledger.partition IS 'Partition';
COMMENT ON COLUMN tripmeter.ledger.record_offset IS 'Offset of the record';
COMMENT ON COLUMN tripmeter.ledger.event_index IS 'Place of the event in the record''s array; 0 for a single event';
COMMENT ON COLUMN tripmeter.ledger.at IS 'Time of the event';
COMMENT ON COLUMN tripmeter.ledger.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.ledger.source IS 'Source of the event';
COMMENT ON COLUMN tripmeter.ledger.id IS 'Its id';
COMMENT ON COLUMN tripmeter.ledger.reference IS 'Reference of the payment, unique for the tenant';
COMMENT ON COLUMN tripmeter.ledger.amount IS 'Units of the tenant''s currency';
COMMENT ON COLUMN tripmeter.ledger.body IS 'data of the event';
COMMENT ON COLUMN tripmeter.ledger.created_at IS 'When it was settled';

CREATE TABLE tripmeter.gauge (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    event_index integer NOT NULL,
    at timestamptz NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    project text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY (tenant, project, name)
);
COMMENT ON TABLE tripmeter.gauge IS 'Last value of each gauge by event time';
COMMENT ON COLUMN tripmeter.gauge.topic IS 'Usage topic';
COMMENT ON COLUMN tripmeter.gauge.partition IS 'Partition';
COMMENT ON COLUMN tripmeter.gauge.record_offset IS 'Offset of the record';
COMMENT ON COLUMN tripmeter.gauge.event_index IS 'Place of the event in the record''s array; 0 for a single event';
COMMENT ON COLUMN tripmeter.gauge.at IS 'Time of the event';
COMMENT ON COLUMN tripmeter.gauge.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.gauge.source IS 'Source of the event';
COMMENT ON COLUMN tripmeter.gauge.id IS 'Its id';
COMMENT ON COLUMN tripmeter.gauge.project IS 'Project; empty: the whole tenant';
COMMENT ON COLUMN tripmeter.gauge.name IS 'storage_bytes, team_members, ...';
COMMENT ON COLUMN tripmeter.gauge.value IS 'Its value';

CREATE TABLE tripmeter.unpriced (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    event_index integer NOT NULL,
    at timestamptz NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    project text,
    feature text,
    key text,
    provider text,
    model text,
    currency text,
    hour timestamptz NOT NULL,
    period timestamptz NOT NULL,
    requests bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    images bigint NOT NULL,
    audio_ms bigint NOT NULL,
    bytes bigint NOT NULL,
    kind text NOT NULL,
    cost numeric(38, 9),
    estimate numeric(38, 9) NOT NULL,
    original_source text,
    original_id text,
    priced_at timestamptz,
    PRIMARY KEY (topic, partition, record_offset, event_index)
);
COMMENT ON TABLE tripmeter.unpriced IS 'Events without a cost, or with one in a currency without a rate, and refunds of such, booked with amount 0 until they are priced';
COMMENT ON COLUMN tripmeter.unpriced.topic IS 'Usage topic';
COMMENT ON COLUMN tripmeter.unpriced.partition IS 'Partition';
COMMENT ON COLUMN tripmeter.unpriced.record_offset IS 'Offset of the record';
COMMENT ON COLUMN tripmeter.unpriced.event_index IS 'Place of the event in the record''s array; 0 for a single event';
COMMENT ON COLUMN tripmeter.unpriced.at IS 'Time of the event';
COMMENT ON COLUMN tripmeter.unpriced.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.unpriced.source IS 'Source of the event';
COMMENT ON COLUMN tripmeter.unpriced.id IS 'Its id';
COMMENT ON COLUMN tripmeter.unpriced.project IS 'Project';
COMMENT ON COLUMN tripmeter.unpriced.feature IS 'Feature';
COMMENT ON COLUMN tripmeter.unpriced.key IS 'API key id';
COMMENT ON COLUMN tripmeter.unpriced.provider IS 'Provider';
COMMENT ON COLUMN tripmeter.unpriced.model IS 'Model';
COMMENT ON COLUMN tripmeter.unpriced.currency IS 'Currency, when the event names one';
COMMENT ON COLUMN tripmeter.unpriced.hour IS 'Hour of the facts it is booked in';
COMMENT ON COLUMN tripmeter.unpriced.period IS 'Start of the billing period it is booked in';
COMMENT ON COLUMN tripmeter.unpriced.requests IS 'Requests: first attempts that succeeded or cost money';
COMMENT ON COLUMN tripmeter.unpriced.input_tokens IS 'Tokens in, cached ones included';
COMMENT ON COLUMN tripmeter.unpriced.cache_read_tokens IS 'Tokens in that were read from a cache';
COMMENT ON COLUMN tripmeter.unpriced.cache_write_tokens IS 'Tokens in that were written to a cache';
COMMENT ON COLUMN tripmeter.unpriced.output_tokens IS 'Tokens out, reasoning included';
COMMENT ON COLUMN tripmeter.unpriced.reasoning_tokens IS 'Tokens out that were reasoning';
COMMENT ON COLUMN tripmeter.unpriced.images IS 'Images';
COMMENT ON COLUMN tripmeter.unpriced.audio_ms IS 'Audio, milliseconds';
COMMENT ON COLUMN tripmeter.unpriced.bytes IS 'Bytes';
COMMENT ON COLUMN tripmeter.unpriced.kind IS 'record, settle, refund or correct';
COMMENT ON COLUMN tripmeter.unpriced.cost IS 'What it cost in that currency, when it says so';
COMMENT ON COLUMN tripmeter.unpriced.estimate IS 'What it is taken for meanwhile by limits and breakers, in the tenant''s currency';
COMMENT ON COLUMN tripmeter.unpriced.original_source IS 'refund: source of the event it refers to; NULL: it was booked without the record of settled events';
COMMENT ON COLUMN tripmeter.unpriced.original_id IS 'refund: id of that event';
COMMENT ON COLUMN tripmeter.unpriced.priced_at IS 'Shard time at which its price was booked, or a correction took its place; NULL: it waits';
CREATE INDEX unpriced_model ON tripmeter.unpriced (provider, model, at);
CREATE INDEX unpriced_waiting ON tripmeter.unpriced (partition, topic, record_offset, event_index)
    WHERE priced_at IS NULL;
CREATE INDEX unpriced_identity ON tripmeter.unpriced (tenant, source, id) WHERE priced_at IS NULL;

CREATE TABLE tripmeter.decision (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope text COLLATE "C" NOT NULL,
    tenant text COLLATE "C",
    at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('allow', 'downgrade', 'throttle', 'block')),
    code text,
    restrictions jsonb NOT NULL,
    shard integer NOT NULL,
    epoch bigint NOT NULL,
    policy bigint NOT NULL,
    trigger text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX decision_scope ON tripmeter.decision (scope, at, id);
CREATE INDEX decision_tenant ON tripmeter.decision (tenant, at);
COMMENT ON TABLE tripmeter.decision IS 'Every change of what gateways are told of a scope';
COMMENT ON COLUMN tripmeter.decision.id IS 'Order of settlement';
COMMENT ON COLUMN tripmeter.decision.scope IS 'tenant/acme, project/acme/web, ...';
COMMENT ON COLUMN tripmeter.decision.tenant IS 'Whose scope it is';
COMMENT ON COLUMN tripmeter.decision.at IS 'Shard time of the change';
COMMENT ON COLUMN tripmeter.decision.outcome IS 'allow, downgrade, throttle, block';
COMMENT ON COLUMN tripmeter.decision.code IS 'Code of the restriction that answers; NULL: allowed';
COMMENT ON COLUMN tripmeter.decision.restrictions IS 'All active restrictions, in the order of judgement';
COMMENT ON COLUMN tripmeter.decision.shard IS 'Shard that judged';
COMMENT ON COLUMN tripmeter.decision.epoch IS 'Epoch of its owner';
COMMENT ON COLUMN tripmeter.decision.policy IS 'Serial of the policy in force when it was settled';
COMMENT ON COLUMN tripmeter.decision.trigger IS 'Id of the event that caused it; NULL: a command or a deadline';
COMMENT ON COLUMN tripmeter.decision.created_at IS 'When it was settled';
