-- After the migrations, at every `tripmeter migrate`: what the group roles may do.  The engine
-- writes rows and owns nothing; the reader reads.
COMMENT ON SCHEMA tripmeter IS
    'tripmeter: what AI gateways used, what it cost, which limits and alerts came of it';
DO $$
BEGIN
    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tripmeter FROM PUBLIC;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'tripmeter_reader') THEN
        GRANT USAGE ON SCHEMA tripmeter TO tripmeter_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA tripmeter TO tripmeter_reader;
        GRANT EXECUTE ON FUNCTION tripmeter.murmur2(bytea),
            tripmeter.murmur2_shard(text, integer), tripmeter.home_shard(text),
            tripmeter.percent_decode(text), tripmeter.anomaly_hours(bytea), tripmeter.settled_events_of(text),
            tripmeter.record_days() TO tripmeter_reader;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'tripmeter_engine') THEN
        GRANT USAGE ON SCHEMA tripmeter TO tripmeter_engine;
        GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA tripmeter TO tripmeter_engine;
        GRANT DELETE ON tripmeter.anomaly_series, tripmeter.reservation TO tripmeter_engine;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA tripmeter TO tripmeter_engine;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA tripmeter TO tripmeter_engine;
        REVOKE INSERT, UPDATE ON tripmeter.migration, tripmeter.period_closing,
            tripmeter.period_final FROM tripmeter_engine;
        REVOKE UPDATE ON tripmeter.tenant_version, tripmeter.policy, tripmeter.enforcement,
            tripmeter.ledger, tripmeter.settled_event FROM tripmeter_engine;
    END IF;
END
$$;
