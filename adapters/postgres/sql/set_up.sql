-- How a database is set up for the processes, and the last sign that the internet reaches them. Read by hand.

-- name: server()^
-- Read the server's version, whether it writes, and how it keeps text.
SELECT
    current_setting('server_version_num')::int AS version,
    split_part(current_setting('server_version'), ' ', 1) AS version_text,
    current_setting('transaction_read_only') = 'on' AS read_only,
    current_setting('server_encoding') AS encoding;

-- name: set_up(schema, owner)^
-- Read who this session is and could be, which of the append-only tables its role may change, which of them no trigger
-- guards always, and whether commits wait for the disk. Their comments say which tables are append-only.
WITH append_only AS (
    SELECT c.oid, c.relname::text AS name
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relkind = 'r' AND obj_description(c.oid, 'pg_class') LIKE 'Append-only:%%'
)
SELECT
    current_user::text AS acts_as,
    (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) AS is_superuser,
    pg_has_role(session_user, :owner, 'MEMBER') AS may_become_owner,
    ARRAY(SELECT name FROM append_only ORDER BY name) AS append_only,
    ARRAY(
        SELECT name FROM append_only
        WHERE has_table_privilege(oid, 'DELETE, TRUNCATE') OR has_any_column_privilege(oid, 'UPDATE')
        ORDER BY name
    ) AS changeable,
    ARRAY(
        SELECT name FROM append_only AS a
        WHERE NOT EXISTS (
            SELECT FROM pg_trigger AS t
            WHERE t.tgrelid = a.oid AND t.tgname = 'append_only' AND t.tgenabled = 'A'
        )
        ORDER BY name
    ) AS unguarded,
    current_setting('fsync') AS fsync,
    current_setting('full_page_writes') AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit;

-- name: last_callback_at()$
-- Read when a callback last came that was taken in.
SELECT max(last_at)
FROM callback;
