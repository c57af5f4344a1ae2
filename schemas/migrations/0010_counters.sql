-- Quotas that no total answers: of features, models and keys, of days and hours, and gauges.

CREATE TABLE tripmeter.counter (
    tenant text COLLATE "C" NOT NULL,
    quota text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL CHECK (window_start < window_end),
    label integer NOT NULL,
    used numeric(47, 9) NOT NULL,
    measured_at timestamptz NOT NULL,
    spent bigint NOT NULL CHECK (spent BETWEEN 0 AND 100),
    spent_amount numeric(47, 9) NOT NULL CHECK (spent_amount >= 0),
    is_open boolean NOT NULL,
    blocked boolean NOT NULL,
    since_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, quota, subject, window_start)
);
CREATE INDEX counter_open ON tripmeter.counter (tenant) WHERE is_open OR blocked;
CREATE INDEX counter_present ON tripmeter.counter (tenant, window_end);
COMMENT ON TABLE tripmeter.counter IS 'What was used of each quota that counts for itself: by feature, model or key, by day or hour, or a gauge. A row a window';
COMMENT ON COLUMN tripmeter.counter.tenant IS 'Tenant';
COMMENT ON COLUMN tripmeter.counter.quota IS 'Name of the quota in the plan';
COMMENT ON COLUMN tripmeter.counter.subject IS 'Feature, model, key or project, as the quota has it; empty: the tenant';
COMMENT ON COLUMN tripmeter.counter.window_start IS 'Start of the billing period, day or hour; 1970 for gauges';
COMMENT ON COLUMN tripmeter.counter.window_end IS 'Its end; infinity for gauges';
COMMENT ON COLUMN tripmeter.counter.label IS 'What the subject is: the number of the label in alerts (core/alert.h)';
COMMENT ON COLUMN tripmeter.counter.used IS 'What was used, in the meter of the quota (money in units of the tenant''s currency); the last value of a gauge';
COMMENT ON COLUMN tripmeter.counter.measured_at IS 'Gauges: when the value was measured';
COMMENT ON COLUMN tripmeter.counter.spent IS 'Percent of the highest step that has fired; 0: none';
COMMENT ON COLUMN tripmeter.counter.spent_amount IS 'The highest step that has fired of those that are amounts, in the meter of the quota; 0: none';
COMMENT ON COLUMN tripmeter.counter.is_open IS 'An alert of it is open';
COMMENT ON COLUMN tripmeter.counter.blocked IS 'It restricts traffic now';
COMMENT ON COLUMN tripmeter.counter.since_at IS 'Shard time since when';
