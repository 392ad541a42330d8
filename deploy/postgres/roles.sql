-- Roles with the least rights that each part of a fleet needs. Run in the fleet's database as its
-- owner, after `fitfleet db upgrade`, and again after each upgrade that adds tables.
--
--   fitfleet_service   scheduler, workers and scripts that submit: rows, but no tables
--   fitfleet_reader    notebooks and BI tools: the views, and nothing behind them
--   fitfleet_host      nobody signs in as this: each host that joins by the HTTP API gets a role of
--                      its own in it, which goes when its token is revoked
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
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'fitfleet_host') THEN
        CREATE ROLE fitfleet_host;
    END IF;
END $$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO fitfleet_service, fitfleet_reader, fitfleet_host;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO fitfleet_service, fitfleet_host;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO fitfleet_service, fitfleet_host;

-- The revision of the schema is for the owner to change; tokens, quotas and shares are not for a host.
REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM fitfleet_service, fitfleet_host;
REVOKE INSERT, UPDATE, DELETE ON access_tokens, fleet_users, fleet_groups, served_shares FROM fitfleet_host;

-- The API makes the roles of hosts, and whoever revokes a token drops them. Below PostgreSQL 16
-- CREATEROLE is more: it may change every role that is no superuser. Without these two lines hosts
-- are told the password of the service, and revoking is to change that.
ALTER ROLE fitfleet_service CREATEROLE;
GRANT fitfleet_host TO fitfleet_service WITH ADMIN OPTION;

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT viewname FROM pg_views WHERE schemaname = 'public' LOOP
        EXECUTE format('GRANT SELECT ON public.%I TO fitfleet_reader', name);
    END LOOP;
END $$;
