-- Delivery of alerts: what the notifier freezes, sends and remembers of each endpoint.
--
-- A transition is routed once (transition.routed_at); routing writes one outbox row per endpoint in
-- the same transaction.  Ids of transitions become visible out of order, so nobody remembers "the
-- last one seen": unrouted rows are found by routed_at IS NULL and taken FOR UPDATE SKIP LOCKED.

CREATE TABLE tripmeter.delivery_group (
    endpoint  text COLLATE "C" NOT NULL,
    group_key text COLLATE "C" NOT NULL,
    last_seq  bigint NOT NULL,
    PRIMARY KEY (endpoint, group_key)
);
COMMENT ON TABLE tripmeter.delivery_group IS 'Counter of the messages of a group at an endpoint. Its row lock, held until the routing transaction commits, makes sequence and visibility agree.';
COMMENT ON COLUMN tripmeter.delivery_group.endpoint IS 'Receiver, kind and index: billing/webhook/0';
COMMENT ON COLUMN tripmeter.delivery_group.group_key IS 'Tenant and rule: {rule="quota/api_calls",tenant="acme"}';
COMMENT ON COLUMN tripmeter.delivery_group.last_seq IS 'Sequence given last; the first message of a group has 1';

CREATE SEQUENCE tripmeter.outbox_lease AS bigint;
COMMENT ON SEQUENCE tripmeter.outbox_lease IS 'Fencing tokens of leases: each claim of a row takes a higher one';

CREATE TABLE tripmeter.outbox (
    id           text COLLATE "C" PRIMARY KEY,
    endpoint     text COLLATE "C" NOT NULL,
    kind         text        NOT NULL CHECK (kind IN ('webhook', 'email')),
    group_key    text COLLATE "C" NOT NULL,
    group_seq    bigint      NOT NULL,
    fingerprint  text COLLATE "C" NOT NULL,
    episode      bigint      NOT NULL,
    seq          bigint      NOT NULL,
    thread       text,
    message      text        NOT NULL CHECK (message IN ('firing', 'resolved', 'missed')),
    severity     text        NOT NULL,
    state        text        NOT NULL CHECK (state IN ('queued', 'leased', 'retry', 'delivered',
                                                       'dead', 'superseded', 'suppressed')),
    reason       text,
    CHECK ((reason IS NOT NULL) = (state IN ('superseded', 'suppressed'))),
    subject      text,
    body         text        NOT NULL,
    html         text,
    attempts     integer     NOT NULL DEFAULT 0,
    refusals     integer     NOT NULL DEFAULT 0,
    next_at      timestamptz NOT NULL,
    lease_until  timestamptz CHECK ((lease_until IS NOT NULL) = (state = 'leased')),
    lease_token  bigint,
    last_error   text,
    created_at   timestamptz NOT NULL,
    tried_at     timestamptz,
    finished_at  timestamptz CHECK ((finished_at IS NULL) = (state IN ('queued', 'leased', 'retry'))),
    UNIQUE (endpoint, group_key, group_seq),
    UNIQUE (endpoint, fingerprint, episode, seq)
);
CREATE INDEX outbox_open ON tripmeter.outbox (endpoint, group_key, group_seq)
    WHERE state IN ('queued', 'leased', 'retry');
CREATE INDEX outbox_due ON tripmeter.outbox (next_at, id) WHERE state IN ('queued', 'leased', 'retry');
CREATE INDEX outbox_leased ON tripmeter.outbox (endpoint) WHERE state = 'leased';
CREATE INDEX outbox_finished ON tripmeter.outbox (finished_at) WHERE finished_at IS NOT NULL;

COMMENT ON TABLE tripmeter.outbox IS 'Messages to deliver, one a transition and endpoint, frozen when routed: every attempt sends the same bytes under the same id.';
COMMENT ON COLUMN tripmeter.outbox.id IS 'tm_ and base32 of 16 bytes of SHA-256(endpoint, group_key, group_seq): webhook-id, Idempotency-Key, and the left side of the Message-ID';
COMMENT ON COLUMN tripmeter.outbox.endpoint IS 'Receiver, kind and index in the configuration: billing/webhook/0';
COMMENT ON COLUMN tripmeter.outbox.kind IS 'webhook or email';
COMMENT ON COLUMN tripmeter.outbox.group_key IS 'Messages of one group reach an endpoint in the order of group_seq';
COMMENT ON COLUMN tripmeter.outbox.group_seq IS 'Place within the group at this endpoint, from 1, without holes';
COMMENT ON COLUMN tripmeter.outbox.fingerprint IS 'Of the transition it tells of';
COMMENT ON COLUMN tripmeter.outbox.episode IS 'Of the transition it tells of';
COMMENT ON COLUMN tripmeter.outbox.seq IS 'Of the transition it tells of';
COMMENT ON COLUMN tripmeter.outbox.thread IS 'Id of the first message of the episode at this endpoint, which mail programs thread by; NULL: it is the first';
COMMENT ON COLUMN tripmeter.outbox.message IS 'firing, resolved, or missed: fired and over before it could be delivered';
COMMENT ON COLUMN tripmeter.outbox.severity IS 'Decides the retry schedule';
COMMENT ON COLUMN tripmeter.outbox.state IS 'queued, leased (being sent), retry, and the final ones: delivered, dead, superseded, suppressed';
COMMENT ON COLUMN tripmeter.outbox.reason IS 'Why it was superseded or suppressed and never sent';
COMMENT ON COLUMN tripmeter.outbox.subject IS 'E-mail: subject; NULL for webhooks';
COMMENT ON COLUMN tripmeter.outbox.body IS 'Webhook: the JSON, byte for byte as signed. E-mail: the plain text. Empty when suppressed';
COMMENT ON COLUMN tripmeter.outbox.html IS 'E-mail: the HTML alternative; NULL for webhooks';
COMMENT ON COLUMN tripmeter.outbox.attempts IS 'Attempts begun: counted when claimed, so that an attempt that kills the process counts';
COMMENT ON COLUMN tripmeter.outbox.refusals IS 'Attempts the endpoint refused (HTTP 3xx, 4xx): they have a slow schedule of their own';
COMMENT ON COLUMN tripmeter.outbox.next_at IS 'When the next attempt is due';
COMMENT ON COLUMN tripmeter.outbox.lease_until IS 'Whoever claimed it has it until then; later anybody may claim it again';
COMMENT ON COLUMN tripmeter.outbox.lease_token IS 'Of the last claim; an outcome reported under another token changes nothing';
COMMENT ON COLUMN tripmeter.outbox.last_error IS 'What the last failed attempt met';
COMMENT ON COLUMN tripmeter.outbox.created_at IS 'When it was frozen: its age decides when it is given up';
COMMENT ON COLUMN tripmeter.outbox.tried_at IS 'When the last attempt began';
COMMENT ON COLUMN tripmeter.outbox.finished_at IS 'When it reached a final state';

CREATE TABLE tripmeter.endpoint_state (
    endpoint      text COLLATE "C" PRIMARY KEY,
    target_hash   text        NOT NULL,
    failures      integer     NOT NULL DEFAULT 0,
    failing_since timestamptz,
    probe_at      timestamptz,
    disabled_at   timestamptz,
    disabled_why  text        CHECK ((disabled_why IS NULL) = (disabled_at IS NULL)),
    last_error    text,
    delivered_at  timestamptz
);
COMMENT ON TABLE tripmeter.endpoint_state IS 'Health of each endpoint: five failures in a row slow it down to one probe a minute, 410 or 120 hours of failing switch it off. A changed target starts anew.';
COMMENT ON COLUMN tripmeter.endpoint_state.endpoint IS 'Receiver, kind and index in the configuration: billing/webhook/0';
COMMENT ON COLUMN tripmeter.endpoint_state.target_hash IS 'SHA-256 of URL or address (which may carry a secret), hex';
COMMENT ON COLUMN tripmeter.endpoint_state.failures IS 'Failed attempts in a row, of whatever message';
COMMENT ON COLUMN tripmeter.endpoint_state.failing_since IS 'When the first of them failed';
COMMENT ON COLUMN tripmeter.endpoint_state.probe_at IS 'From five failures on: when the next attempt may be made';
COMMENT ON COLUMN tripmeter.endpoint_state.disabled_at IS 'Nothing is sent to it any more; set to NULL (with disabled_why) to use it again';
COMMENT ON COLUMN tripmeter.endpoint_state.disabled_why IS 'What switched it off';
COMMENT ON COLUMN tripmeter.endpoint_state.last_error IS 'What the last failed attempt met';
COMMENT ON COLUMN tripmeter.endpoint_state.delivered_at IS 'When something was last delivered';
