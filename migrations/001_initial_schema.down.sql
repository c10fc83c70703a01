-- 001_initial_schema, down: removes everything that up made, newest first. No CASCADE: an object of
-- someone else that depends on ours stops the rollback instead of vanishing with it.

DO $$
BEGIN
    RAISE NOTICE 'rolling back 001_initial_schema: dropping % users, % sessions, % audit rows',
        (SELECT count(*) FROM users), (SELECT count(*) FROM user_sessions), (SELECT count(*) FROM audit_logs);
END
$$;

DROP VIEW recent_audit_events;
DROP VIEW active_sessions_with_users;
DROP VIEW active_users;

DROP TRIGGER audit_logs_protect_recent ON audit_logs;
DROP TRIGGER audit_logs_append_only ON audit_logs;
DROP TRIGGER user_sessions_audit_status ON user_sessions;
DROP TRIGGER user_sessions_audit ON user_sessions;
DROP TRIGGER users_revoke_sessions ON users;
DROP TRIGGER users_audit ON users;
DROP TRIGGER users_set_updated_at ON users;
DROP TRIGGER auth_settings_audit ON auth_settings;
DROP TRIGGER auth_settings_set_updated_at ON auth_settings;

DROP FUNCTION revoke_sessions_of_deleted_user();
DROP FUNCTION set_updated_at();
DROP FUNCTION cleanup_old_audit_logs(integer);
DROP FUNCTION expire_old_sessions();
DROP FUNCTION unlock_user_account(text);
DROP FUNCTION lock_user_account(text, integer);
DROP FUNCTION record_successful_login(uuid, inet);
DROP FUNCTION record_failed_login(text, inet);
DROP FUNCTION verify_password(text, text);
DROP FUNCTION hash_password(text, integer);
DROP FUNCTION refuse_audit_change();
DROP FUNCTION audit_row_change();
DROP FUNCTION audit_action_of_change(text, text, jsonb, jsonb);
DROP FUNCTION log_audit_event(audit_action, text, text, text, jsonb, jsonb, jsonb, uuid, uuid, inet);
DROP FUNCTION app_setting(text);

-- The indexes and constraints go with their tables.
DROP TABLE audit_logs;
DROP FUNCTION audit_redact(jsonb);
DROP TABLE user_sessions;
DROP TABLE users;
DROP TABLE auth_settings;

DROP TYPE audit_action;
DROP TYPE device_type;
DROP TYPE session_status;
DROP TYPE mfa_method;

-- An extension that was there before up stays: others may use it.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_extension
        WHERE extname = 'pgcrypto'
          AND obj_description(oid, 'pg_extension') LIKE '%installed by migration 001_initial_schema'
    ) THEN
        DROP EXTENSION pgcrypto;
    ELSE
        RAISE NOTICE 'pgcrypto was not installed by 001_initial_schema and stays';
    END IF;
END
$$;

DO $$
DECLARE
    v_left text;
BEGIN
    SELECT string_agg(kind || ' ' || name, ', ' ORDER BY kind, name) INTO v_left
    FROM (
        SELECT 'relation' AS kind, relname::text AS name
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
          AND relname IN (
              'auth_settings', 'users', 'user_sessions', 'audit_logs', 'audit_logs_id_seq',
              'active_users', 'active_sessions_with_users', 'recent_audit_events'
          )
        UNION ALL
        SELECT 'type', typname::text
        FROM pg_type
        WHERE typnamespace = 'public'::regnamespace
          AND typname IN ('mfa_method', 'session_status', 'device_type', 'audit_action')
        UNION ALL
        SELECT 'function', oid::regprocedure::text
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
          AND proname IN (
              'audit_redact', 'app_setting', 'log_audit_event', 'audit_action_of_change', 'audit_row_change',
              'refuse_audit_change', 'hash_password', 'verify_password', 'record_failed_login',
              'record_successful_login', 'lock_user_account', 'unlock_user_account', 'expire_old_sessions',
              'cleanup_old_audit_logs', 'set_updated_at', 'revoke_sessions_of_deleted_user'
          )
        UNION ALL
        SELECT 'extension', extname::text
        FROM pg_extension
        WHERE obj_description(oid, 'pg_extension') LIKE '%installed by migration 001_initial_schema'
    ) AS leftover;

    IF v_left IS NOT NULL THEN
        RAISE EXCEPTION 'rolling back 001_initial_schema left something behind: %', v_left;
    END IF;
    RAISE NOTICE 'rolled back 001_initial_schema: nothing is left';
END
$$;
