-- The state: shards and their positions, tenants and their versions, commands, policies, alerts.
-- Amounts of money are units of the tenant's currency with nine decimals; times are instants.

-- ---- shards -----------------------------------------------------------------------------------
CREATE TABLE tripmeter.layout (
    topic text COLLATE "C" PRIMARY KEY,
    partitions integer NOT NULL CHECK (partitions BETWEEN 1 AND 100000),
    stored_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE tripmeter.layout IS 'The usage topics and their partition count, stored by the first engine; a process with other topics refuses to join';
COMMENT ON COLUMN tripmeter.layout.topic IS 'Name of a usage topic';
COMMENT ON COLUMN tripmeter.layout.partitions IS 'Its number of partitions; the same for every usage topic';
COMMENT ON COLUMN tripmeter.layout.stored_at IS 'When it was stored';

CREATE SEQUENCE tripmeter.epoch AS bigint MAXVALUE 549755813887;
COMMENT ON SEQUENCE tripmeter.epoch IS 'Epochs of all shards: each claim takes the next; 39 bits, for control messages carry epoch << 24 | counter';

CREATE TABLE tripmeter.shard (
    shard integer PRIMARY KEY CHECK (shard >= 0),
    epoch bigint NOT NULL DEFAULT 0,
    owner text,
    settle_seq bigint NOT NULL DEFAULT 0 CHECK (settle_seq >= 0),
    shard_time timestamptz,
    closed_to timestamptz NOT NULL DEFAULT 'epoch',
    policy bigint NOT NULL DEFAULT 0,
    enforcing boolean NOT NULL DEFAULT true,
    attempting jsonb NOT NULL DEFAULT '{}',
    claims integer NOT NULL DEFAULT 0,
    trying jsonb,
    inherits_to timestamptz NOT NULL DEFAULT 'epoch',
    claimed_at timestamptz,
    settled_at timestamptz
);
COMMENT ON TABLE tripmeter.shard IS 'A shard is a partition number of all usage topics; its row is the lock of its settlements';
COMMENT ON COLUMN tripmeter.shard.shard IS 'Partition number';
COMMENT ON COLUMN tripmeter.shard.epoch IS 'Given by the claim; only settlements of this epoch are accepted';
COMMENT ON COLUMN tripmeter.shard.owner IS 'Process and worker that claimed it last';
COMMENT ON COLUMN tripmeter.shard.settle_seq IS 'Settlements so far; each moves it from n to n + 1';
COMMENT ON COLUMN tripmeter.shard.shard_time IS 'Now, as the rules know it; follows the records'' times and never falls';
COMMENT ON COLUMN tripmeter.shard.closed_to IS 'Periods that ended at or before this are not booked in any more by this shard: all its partitions were read past their end and the grace of late events';
COMMENT ON COLUMN tripmeter.shard.policy IS 'Serial of the policy last in force; 0: none yet';
COMMENT ON COLUMN tripmeter.shard.enforcing IS 'False after `enforce off` was applied here';
COMMENT ON COLUMN tripmeter.shard.attempting IS 'Offset per topic up to which records are settled one by one after the database refused a settlement';
COMMENT ON COLUMN tripmeter.shard.claims IS 'Claims since the last settlement: when several owners ended without one, records are taken one by one';
COMMENT ON COLUMN tripmeter.shard.trying IS 'The record taken alone just now, and how often it was tried: one that ends the process twice is quarantined';
COMMENT ON COLUMN tripmeter.shard.inherits_to IS 'Events of before this may have been counted in the partition that had their tenant before the topics grew: they are looked up in the record of settled events';
COMMENT ON COLUMN tripmeter.shard.claimed_at IS 'Wall time of the last claim';
COMMENT ON COLUMN tripmeter.shard.settled_at IS 'Wall time of the last settlement';

CREATE TABLE tripmeter.progress (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    base bigint NOT NULL CHECK (base >= 0),
    next_offset bigint NOT NULL,
    processed bigint NOT NULL,
    gaps bigint NOT NULL,
    counted bigint NOT NULL,
    keyed bigint NOT NULL,
    duplicates bigint NOT NULL,
    dead bigint NOT NULL,
    ignored bigint NOT NULL,
    record_time timestamptz NOT NULL,
    last_offset bigint NOT NULL,
    last_fingerprint bigint NOT NULL,
    PRIMARY KEY (topic, partition),
    CONSTRAINT nothing_vanishes CHECK (next_offset - base = processed + gaps)
);
COMMENT ON TABLE tripmeter.progress IS 'How far each topic partition is settled, and what became of its records and events';
COMMENT ON COLUMN tripmeter.progress.topic IS 'Usage topic';
COMMENT ON COLUMN tripmeter.progress.partition IS 'Partition, which is the shard';
COMMENT ON COLUMN tripmeter.progress.base IS 'Offset the first settlement began at';
COMMENT ON COLUMN tripmeter.progress.next_offset IS 'First offset that is not settled';
COMMENT ON COLUMN tripmeter.progress.processed IS 'Records since base';
COMMENT ON COLUMN tripmeter.progress.gaps IS 'Offsets since base that held no record';
COMMENT ON COLUMN tripmeter.progress.counted IS 'Events booked';
COMMENT ON COLUMN tripmeter.progress.keyed IS 'Events booked that name an API key';
COMMENT ON COLUMN tripmeter.progress.duplicates IS 'Events left out because their identity had been seen';
COMMENT ON COLUMN tripmeter.progress.dead IS 'Events refused; each is a row of dead_letter';
COMMENT ON COLUMN tripmeter.progress.ignored IS 'Values that are no usage events: empty, or of another type';
COMMENT ON COLUMN tripmeter.progress.record_time IS 'Highest record time so far';
COMMENT ON COLUMN tripmeter.progress.last_offset IS 'Offset of the last record processed; -1: none';
COMMENT ON COLUMN tripmeter.progress.last_fingerprint IS 'XXH3 of that record''s time, key and value (as a signed number): is the log still the same?';

-- ---- tenants ----------------------------------------------------------------------------------
CREATE TABLE tripmeter.tenant_shard (
    tenant text COLLATE "C" PRIMARY KEY CHECK (tenant <> ''),
    shard integer NOT NULL,
    provisional boolean NOT NULL,
    due_at timestamptz NOT NULL DEFAULT 'infinity',
    restricted boolean NOT NULL DEFAULT false
);
CREATE INDEX tenant_shard_due ON tripmeter.tenant_shard (shard, due_at) WHERE due_at < 'infinity';
CREATE INDEX tenant_shard_restricted ON tripmeter.tenant_shard (shard, tenant) WHERE restricted;
COMMENT ON TABLE tripmeter.tenant_shard IS 'The home of each tenant: the only shard that judges it';
COMMENT ON COLUMN tripmeter.tenant_shard.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.tenant_shard.shard IS 'Its home';
COMMENT ON COLUMN tripmeter.tenant_shard.provisional IS 'No event has come yet: the home is where murmur2 would put the tenant, and the first event may move it';
COMMENT ON COLUMN tripmeter.tenant_shard.due_at IS 'When the tenant must be looked at without an event; infinity: never';
COMMENT ON COLUMN tripmeter.tenant_shard.restricted IS 'Has a restriction, an open episode, or a notice that is to come without an event: loaded as soon as the shard is claimed';

CREATE TABLE tripmeter.tenant_version (
    tenant text COLLATE "C" NOT NULL
        CHECK (tenant NOT IN ('', '*') AND octet_length(tenant) <= 128),
    version bigint NOT NULL CHECK (version >= 1),
    valid_from timestamptz NOT NULL DEFAULT now() CHECK (valid_from <= created_at),
    actor text NOT NULL DEFAULT session_user CHECK (actor <> ''),
    reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    plan text,
    zone text,
    cycle text CHECK (cycle ~ '^(month|week|anchor:([1-9]|[12][0-9]|3[01])|contract:(19[7-9]|2[0-9]{2})[0-9]-[0-9]{2}-[0-9]{2}/[1-9][0-9]{0,3}|days:[1-9][0-9]{0,4}/(19[7-9]|2[0-9]{2})[0-9]-[0-9]{2}-[0-9]{2})$'),
    currency text CHECK (currency ~ '^[A-Z]{3}$'),
    charge text CHECK (charge <> ''),
    limits jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(limits) = 'object'),
    projects jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(projects) = 'object'),
    PRIMARY KEY (tenant, version)
);
COMMENT ON TABLE tripmeter.tenant_version IS 'Contracts of the tenants: the highest version holds, from its commit on; rows are added, never changed. INSERT works from any client: version may be left out';
COMMENT ON COLUMN tripmeter.tenant_version.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.tenant_version.version IS 'Counts from 1; given when left out';
COMMENT ON COLUMN tripmeter.tenant_version.valid_from IS 'Since when it is agreed, for the record; it acts from its commit on and cannot lie ahead';
COMMENT ON COLUMN tripmeter.tenant_version.actor IS 'Who made it';
COMMENT ON COLUMN tripmeter.tenant_version.reason IS 'Why';
COMMENT ON COLUMN tripmeter.tenant_version.created_at IS 'When it was written';
COMMENT ON COLUMN tripmeter.tenant_version.plan IS 'Plan of the policy; NULL: the fallback plan';
COMMENT ON COLUMN tripmeter.tenant_version.zone IS 'IANA time zone of its billing periods; NULL: the policy''s';
COMMENT ON COLUMN tripmeter.tenant_version.cycle IS 'Its billing periods: month, anchor:31, contract:2024-02-29/12 (every 12 months from that date on), week, days:30/2026-01-15; NULL: the policy''s. A change starts where the present period ends';
COMMENT ON COLUMN tripmeter.tenant_version.currency IS 'ISO 4217; NULL: the policy''s';
COMMENT ON COLUMN tripmeter.tenant_version.charge IS 'How its charge follows from the cost: cost, a mark-up (20%), a price list of the policy (retail), or both (retail 20%): the mark-up for models the list does not have; NULL: as its plan says';
COMMENT ON COLUMN tripmeter.tenant_version.limits IS 'Limits that differ from the plan: {"api_calls": 60000, "spend": "250.00", "ai_tokens": "unlimited"}';
COMMENT ON COLUMN tripmeter.tenant_version.projects IS 'Declared projects: {"web": {"limits": {"api_calls": 500}}}; empty: any name is accepted';

-- ---- commands, policies, operators' words -----------------------------------------------------
CREATE TABLE tripmeter.command (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard integer,
    kind text NOT NULL CHECK (kind IN ('tenant', 'word', 'policy', 'enforce', 'retry', 'breaker', 'resume', 'rerate', 'anomaly')),
    tenant text COLLATE "C",
    body jsonb NOT NULL DEFAULT '{}',
    payload bytea,
    actor text NOT NULL,
    reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    applied_at timestamptz,
    applied_time timestamptz,
    epoch bigint,
    settle_seq bigint,
    position jsonb,
    policy bigint,
    error text
);
CREATE INDEX command_waiting ON tripmeter.command (shard, id) WHERE applied_at IS NULL;
COMMENT ON TABLE tripmeter.command IS 'What operators and programs changed, in the order of id; the owner of the shard applies it at a record boundary and marks it in that settlement';
COMMENT ON COLUMN tripmeter.command.id IS 'Order of application within a shard';
COMMENT ON COLUMN tripmeter.command.shard IS 'Whose owner applies it; NULL until the layout is known';
COMMENT ON COLUMN tripmeter.command.kind IS 'tenant: a new version; word: allow or block of a scope; policy; enforce; retry: a dead letter read again; breaker: an operator''s word for the breaker of a feature; resume: a halted partition is read on; rerate: unpriced events that have a price now are priced; anomaly: an operator''s answer to an incident';
COMMENT ON COLUMN tripmeter.command.tenant IS 'Tenant it concerns; NULL: all of the shard';
COMMENT ON COLUMN tripmeter.command.body IS 'tenant: version; word: id of operator_word; policy: serial; enforce: on; breaker: feature, word, until; retry: the record''s position, time and key; resume: topic; anomaly: the incident, the answer and the records of before it';
COMMENT ON COLUMN tripmeter.command.payload IS 'retry: the record''s value';
COMMENT ON COLUMN tripmeter.command.actor IS 'Who said so';
COMMENT ON COLUMN tripmeter.command.reason IS 'Why';
COMMENT ON COLUMN tripmeter.command.created_at IS 'When it was written';
COMMENT ON COLUMN tripmeter.command.applied_at IS 'Wall time of the settlement that applied it; NULL: waiting';
COMMENT ON COLUMN tripmeter.command.applied_time IS 'Shard time at which it was applied';
COMMENT ON COLUMN tripmeter.command.epoch IS 'Epoch of the settlement that applied it';
COMMENT ON COLUMN tripmeter.command.settle_seq IS 'Number of that settlement';
COMMENT ON COLUMN tripmeter.command.position IS 'Next offset of each topic after that settlement';
COMMENT ON COLUMN tripmeter.command.policy IS 'Serial of the policy in force after that settlement';
COMMENT ON COLUMN tripmeter.command.error IS 'Why it had no effect; NULL: it had';

CREATE TABLE tripmeter.policy (
    serial bigint PRIMARY KEY CHECK (serial >= 1),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    body text NOT NULL,
    activated_at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE tripmeter.policy IS 'Every policy that was ever in force; the highest serial is';
COMMENT ON COLUMN tripmeter.policy.serial IS 'Rises by one with every change';
COMMENT ON COLUMN tripmeter.policy.hash IS 'SHA-256 of the body';
COMMENT ON COLUMN tripmeter.policy.body IS 'The policy file as it was';
COMMENT ON COLUMN tripmeter.policy.activated_at IS 'When it was put in force';
COMMENT ON COLUMN tripmeter.policy.actor IS 'Who started or reloaded the engine with it';

CREATE TABLE tripmeter.operator_word (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope text COLLATE "C" NOT NULL CHECK (octet_length(scope) <= 1023),
    tenant text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('allow', 'block', 'revoke')),
    since_at timestamptz NOT NULL,
    until_at timestamptz NOT NULL CHECK (until_at > since_at),
    actor text NOT NULL CHECK (actor <> ''),
    reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX operator_word_tenant ON tripmeter.operator_word (tenant, scope, id DESC);
COMMENT ON TABLE tripmeter.operator_word IS 'What operators said of a scope; the latest row of a scope holds until it ends or is revoked (function operator_say)';
COMMENT ON COLUMN tripmeter.operator_word.id IS 'Order in which it was said';
COMMENT ON COLUMN tripmeter.operator_word.scope IS 'tenant/acme, key/acme/k1, ... with percent-encoded parts';
COMMENT ON COLUMN tripmeter.operator_word.tenant IS 'Whose scope it is';
COMMENT ON COLUMN tripmeter.operator_word.kind IS 'allow, block, or revoke: back to the rules';
COMMENT ON COLUMN tripmeter.operator_word.since_at IS 'From when on';
COMMENT ON COLUMN tripmeter.operator_word.until_at IS 'Until when; infinity: until revoked';
COMMENT ON COLUMN tripmeter.operator_word.actor IS 'Who';
COMMENT ON COLUMN tripmeter.operator_word.reason IS 'Why';
COMMENT ON COLUMN tripmeter.operator_word.created_at IS 'When it was written';

CREATE TABLE tripmeter.enforcement (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    is_on boolean NOT NULL,
    actor text NOT NULL CHECK (actor <> ''),
    reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE tripmeter.enforcement IS 'The brake of the whole engine; the latest row holds, none means on (function enforce)';
COMMENT ON COLUMN tripmeter.enforcement.id IS 'Order in which it was said';
COMMENT ON COLUMN tripmeter.enforcement.is_on IS 'False: everything is allowed, metering goes on';
COMMENT ON COLUMN tripmeter.enforcement.actor IS 'Who';
COMMENT ON COLUMN tripmeter.enforcement.reason IS 'Why';
COMMENT ON COLUMN tripmeter.enforcement.created_at IS 'When';

-- ---- alerts -----------------------------------------------------------------------------------
CREATE TABLE tripmeter.alert_counter (
    fingerprint text COLLATE "C" PRIMARY KEY CHECK (fingerprint ~ '^[0-9a-f]{16}$'),
    episode bigint NOT NULL,
    seq bigint NOT NULL
);
COMMENT ON TABLE tripmeter.alert_counter IS 'Numbers given so far for one alert identity';
COMMENT ON COLUMN tripmeter.alert_counter.fingerprint IS 'Identity: first 8 bytes of SHA-256 of rule and labels, hexadecimal';
COMMENT ON COLUMN tripmeter.alert_counter.episode IS 'Last episode; +1 for each new firing';
COMMENT ON COLUMN tripmeter.alert_counter.seq IS 'Last transition; +1 for each, over all episodes';

CREATE TABLE tripmeter.episode (
    fingerprint text COLLATE "C" NOT NULL REFERENCES tripmeter.alert_counter,
    episode bigint NOT NULL,
    rule text NOT NULL,
    tenant text COLLATE "C",
    labels jsonb NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'error', 'critical')),
    step integer NOT NULL,
    step_amount numeric,
    restricts boolean NOT NULL,
    opened_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    resolved_at timestamptz,
    reason text,
    summary text,
    PRIMARY KEY (fingerprint, episode),
    CHECK ((resolved_at IS NULL) = (reason IS NULL))
);
CREATE UNIQUE INDEX episode_open ON tripmeter.episode (fingerprint) WHERE resolved_at IS NULL;
CREATE INDEX episode_tenant ON tripmeter.episode (tenant, opened_at);
COMMENT ON TABLE tripmeter.episode IS 'Alerts: from firing to resolved; at most one open per identity';
COMMENT ON COLUMN tripmeter.episode.fingerprint IS 'Identity';
COMMENT ON COLUMN tripmeter.episode.episode IS 'Number of the firing, from 1';
COMMENT ON COLUMN tripmeter.episode.rule IS 'Kind and name of the rule: quota/api_calls';
COMMENT ON COLUMN tripmeter.episode.tenant IS 'Tenant; NULL: the engine''s own';
COMMENT ON COLUMN tripmeter.episode.labels IS 'The labels that make the identity';
COMMENT ON COLUMN tripmeter.episode.severity IS 'Of the highest step so far';
COMMENT ON COLUMN tripmeter.episode.step IS 'Last step reached, percent; 0 where the rule has none, or it is an amount';
COMMENT ON COLUMN tripmeter.episode.step_amount IS 'Last step reached, when it is an amount: money in units of the currency, or a count; NULL: it is none';
COMMENT ON COLUMN tripmeter.episode.restricts IS 'Traffic was restricted at any time of the episode';
COMMENT ON COLUMN tripmeter.episode.opened_at IS 'Shard time of the first firing';
COMMENT ON COLUMN tripmeter.episode.changed_at IS 'Shard time of the last transition';
COMMENT ON COLUMN tripmeter.episode.resolved_at IS 'Shard time of the end; NULL: open';
COMMENT ON COLUMN tripmeter.episode.reason IS 'Why it ended: cleared, period_rollover, limit_raised, ...';
COMMENT ON COLUMN tripmeter.episode.summary IS 'One line for people, when the rule gave one';

CREATE TABLE tripmeter.transition (
    fingerprint text COLLATE "C" NOT NULL,
    episode bigint NOT NULL,
    seq bigint NOT NULL,
    move text NOT NULL CHECK (move IN ('fire', 'step', 'resolve')),
    rule text NOT NULL,
    tenant text COLLATE "C",
    labels jsonb NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'error', 'critical')),
    at timestamptz NOT NULL,
    step integer NOT NULL,
    step_amount numeric,
    crossed integer[] NOT NULL,
    crossed_amounts numeric[] NOT NULL DEFAULT '{}',
    value numeric,
    threshold numeric,
    is_money boolean NOT NULL,
    unit text,
    zone text,
    resets_at timestamptz,
    restricts boolean NOT NULL,
    reason text,
    summary text,
    shard integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    routed_at timestamptz,
    PRIMARY KEY (fingerprint, episode, seq),
    FOREIGN KEY (fingerprint, episode) REFERENCES tripmeter.episode
);
CREATE INDEX transition_unrouted ON tripmeter.transition (created_at, fingerprint, seq) WHERE routed_at IS NULL;
COMMENT ON TABLE tripmeter.transition IS 'Every change of an alert, written by settlements; the notifier makes messages of them';
COMMENT ON COLUMN tripmeter.transition.fingerprint IS 'Identity of the alert';
COMMENT ON COLUMN tripmeter.transition.episode IS 'Episode it belongs to';
COMMENT ON COLUMN tripmeter.transition.seq IS 'Number of the transition, over all episodes of the alert';
COMMENT ON COLUMN tripmeter.transition.move IS 'fire, step (a higher one inside the episode), resolve';
COMMENT ON COLUMN tripmeter.transition.rule IS 'Kind and name of the rule';
COMMENT ON COLUMN tripmeter.transition.tenant IS 'Tenant; NULL: the engine''s own';
COMMENT ON COLUMN tripmeter.transition.labels IS 'The labels that make the identity';
COMMENT ON COLUMN tripmeter.transition.severity IS 'info, warning, error, critical';
COMMENT ON COLUMN tripmeter.transition.at IS 'Shard time';
COMMENT ON COLUMN tripmeter.transition.step IS 'Step reached, percent; 0 where the rule has none, or it is an amount';
COMMENT ON COLUMN tripmeter.transition.step_amount IS 'Step reached, when it is an amount: as value; NULL: it is none';
COMMENT ON COLUMN tripmeter.transition.crossed IS 'All steps newly crossed that are percentages, rising';
COMMENT ON COLUMN tripmeter.transition.crossed_amounts IS 'All steps newly crossed that are amounts, rising';
COMMENT ON COLUMN tripmeter.transition.value IS 'What was measured: money in units of the currency, or a count; NULL where the rule has none';
COMMENT ON COLUMN tripmeter.transition.threshold IS 'What it was compared with: the limit, or the step of an unlimited quota';
COMMENT ON COLUMN tripmeter.transition.is_money IS 'Value and threshold are money';
COMMENT ON COLUMN tripmeter.transition.unit IS 'requests, tokens, USD, ...';
COMMENT ON COLUMN tripmeter.transition.zone IS 'The tenant''s time zone, for times in messages';
COMMENT ON COLUMN tripmeter.transition.resets_at IS 'When the period turns; NULL: does not apply';
COMMENT ON COLUMN tripmeter.transition.restricts IS 'A restriction on traffic comes with it';
COMMENT ON COLUMN tripmeter.transition.reason IS 'With resolve: why';
COMMENT ON COLUMN tripmeter.transition.summary IS 'One line for people, when the rule gave one';
COMMENT ON COLUMN tripmeter.transition.shard IS 'Shard whose settlement wrote it; NULL: outside settlements';
COMMENT ON COLUMN tripmeter.transition.created_at IS 'When it was written';
COMMENT ON COLUMN tripmeter.transition.routed_at IS 'When the notifier had made its messages; NULL: not yet';
