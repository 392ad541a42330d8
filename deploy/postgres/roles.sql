-- Roles with the least rights that each part of a fleet needs. Run in the fleet's database as its
-- owner, after `fitfleet db upgrade`, and again after each upgrade that adds tables.
--
--   fitfleet_service   scheduler, workers and scripts that submit: rows, but no tables
--   fitfleet_reader    notebooks and BI tools: the views, and nothing behind them
--
-- They cannot sign in until each has a password: ALTER ROLE fitfleet_service LOGIN PASSWORD '...'.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'fitfleet_service') THEN
        CREATE ROLE fitfleet_service;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'fitfleet_reader') THEN
        CREATE ROLE fitfleet_reader;
    END IF;
END $$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO fitfleet_service, fitfleet_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO fitfleet_service;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO fitfleet_service;

-- The revision of the schema is for the owner to change.
REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM fitfleet_service;

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT viewname FROM pg_views WHERE schemaname = 'public' LOOP
        EXECUTE format('GRANT SELECT ON public.%I TO fitfleet_reader', name);
    END LOOP;
END $$;
