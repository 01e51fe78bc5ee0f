-- What must be there before migrations run, and what processes look at before they start.

-- name: lock_schema(lock)^
-- Wait until nobody else migrates this database; the lock goes with the session, also when it is killed.
SELECT pg_advisory_lock(:lock);

-- name: make_roles#
-- Make the two roles and the schema. The login that migrates becomes a member of both.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['tootsoo_owner', 'tootsoo_app'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of this server made it at the same moment
        END;
        BEGIN
            -- Asked by trying: what membership allows differs between PostgreSQL 15 and 16.
            EXECUTE format('SET LOCAL ROLE %I', role_name);
            RESET ROLE;
        EXCEPTION WHEN insufficient_privilege THEN
            EXECUTE format('GRANT %I TO %I', role_name, current_user);
        END;
    END LOOP;
    IF to_regnamespace('tootsoo') IS NULL THEN
        CREATE SCHEMA tootsoo AUTHORIZATION tootsoo_owner;
    END IF;
END
$$;

-- name: encoding()$
-- Read how this database keeps text.
SELECT current_setting('server_encoding');

-- name: grant_versions#
-- Let processes see which migrations were applied.
GRANT SELECT ON tootsoo._yoyo_migration TO tootsoo_app;

-- name: stamp(qpay_env)!
-- Say which environment this database belongs to, once.
INSERT INTO tootsoo.installation (qpay_env)
VALUES (:qpay_env)
ON CONFLICT (only_row) DO NOTHING;

-- name: is_read_only()$
-- Tell whether a new transaction could write nothing.
SELECT current_setting('transaction_read_only')::boolean;

-- name: has_schema()$
-- Tell whether this database was ever migrated.
SELECT to_regclass('tootsoo._yoyo_migration') IS NOT NULL;

-- name: applied_migrations()
-- Read which migrations were applied.
SELECT migration_id
FROM tootsoo._yoyo_migration;

-- name: read_stamp()$
-- Read which environment this database belongs to.
SELECT qpay_env
FROM tootsoo.installation;
