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

-- name: describe_versions#
-- Describe the tables of yoyo, which makes them itself and says nothing about them.
COMMENT ON TABLE tootsoo._yoyo_migration IS 'Which migrations were applied; yoyo keeps it.';
COMMENT ON COLUMN tootsoo._yoyo_migration.migration_hash IS 'SHA-256 of the migration''s name.';
COMMENT ON COLUMN tootsoo._yoyo_migration.migration_id IS 'The migration''s name: its file without .sql.';
COMMENT ON COLUMN tootsoo._yoyo_migration.applied_at_utc IS 'When it was applied, in UTC.';
COMMENT ON TABLE tootsoo._yoyo_log IS 'When which migration was applied, and by whom; yoyo keeps it.';
COMMENT ON COLUMN tootsoo._yoyo_log.id IS 'A random id of the entry.';
COMMENT ON COLUMN tootsoo._yoyo_log.migration_hash IS 'SHA-256 of the migration''s name.';
COMMENT ON COLUMN tootsoo._yoyo_log.migration_id IS 'The migration''s name: its file without .sql.';
COMMENT ON COLUMN tootsoo._yoyo_log.operation IS 'apply; yoyo knows rollback and mark as well, which are not used here.';
COMMENT ON COLUMN tootsoo._yoyo_log.username IS 'The login of whoever ran it, on its machine.';
COMMENT ON COLUMN tootsoo._yoyo_log.hostname IS 'The machine that it was run on.';
COMMENT ON COLUMN tootsoo._yoyo_log.comment IS 'What yoyo remarks.';
COMMENT ON COLUMN tootsoo._yoyo_log.created_at_utc IS 'When it was run, in UTC.';
COMMENT ON TABLE tootsoo._yoyo_version IS 'The form of these tables; yoyo keeps it.';
COMMENT ON COLUMN tootsoo._yoyo_version.version IS 'The number of that form.';
COMMENT ON COLUMN tootsoo._yoyo_version.installed_at_utc IS 'When the tables got that form, in UTC.';
COMMENT ON TABLE tootsoo.yoyo_lock IS 'Always empty here: yoyo''s own lock, which a kill would leave behind; an advisory lock does its work.';
COMMENT ON COLUMN tootsoo.yoyo_lock.locked IS '1 while it is held.';
COMMENT ON COLUMN tootsoo.yoyo_lock.ctime IS 'When it was taken.';
COMMENT ON COLUMN tootsoo.yoyo_lock.pid IS 'The process that holds it.';

-- name: stamp(qpay_env)!
-- Say which environment this database belongs to, once.
INSERT INTO tootsoo.installation (qpay_env)
VALUES (:qpay_env)
ON CONFLICT (only_row) DO NOTHING;

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

-- name: compatible_since()$
-- Read which migration a version must at least know to work on this database; null when any will do.
SELECT compatible_since
FROM tootsoo.installation;
