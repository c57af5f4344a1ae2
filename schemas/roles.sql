-- Before the migrations, at every `tripmeter migrate`: the group roles and the schema.  Roles that
-- may not be created are left out; whoever owns the database can create them and migrate again.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['tripmeter_owner', 'tripmeter_engine', 'tripmeter_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION
                WHEN insufficient_privilege THEN
                    RAISE WARNING 'role % is missing and may not be created by %', wanted, current_user;
                WHEN duplicate_object OR unique_violation THEN
                    NULL; -- roles belong to the whole server: another database was quicker
            END;
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'tripmeter') THEN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'tripmeter_owner') THEN
            BEGIN
                IF NOT pg_has_role(current_user, 'tripmeter_owner', 'MEMBER') THEN
                    EXECUTE format('GRANT tripmeter_owner TO %I', current_user);
                END IF;
                CREATE SCHEMA tripmeter AUTHORIZATION tripmeter_owner;
            EXCEPTION WHEN insufficient_privilege THEN
                CREATE SCHEMA tripmeter;
            END;
        ELSE
            CREATE SCHEMA tripmeter;
        END IF;
    END IF;
END
$$;
