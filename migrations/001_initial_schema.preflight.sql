-- 001_initial_schema, preflight: each statement must return only true.

SELECT current_setting('server_version_num')::integer >= 150000 AS "the server is PostgreSQL 15 or newer";

-- The functions pin search_path to public.
SELECT coalesce(current_schema() = 'public', false) AS "new objects go to the schema public";

SELECT count(*) = 1 AS "this role may create objects in the schema public"
FROM pg_namespace
WHERE nspname = 'public' AND has_schema_privilege(oid, 'CREATE');

SELECT count(*) = 0 AS "no table, view or sequence has a name that 001 creates"
FROM pg_class
WHERE relnamespace = to_regnamespace('public')
  AND relname IN (
      'auth_settings', 'users', 'user_sessions', 'audit_logs', 'audit_logs_id_seq',
      'active_users', 'active_sessions_with_users', 'recent_audit_events'
  );

SELECT count(*) = 0 AS "no index has a name that 001 creates"
FROM pg_class
WHERE relnamespace = to_regnamespace('public')
  AND relname IN (
      'auth_settings_pkey',
      'users_pkey', 'users_email_key', 'users_username_key', 'users_email_verification_token_key',
      'users_failed_logins_idx', 'users_locked_idx', 'users_created_at_idx', 'users_deleted_at_idx',
      'user_sessions_pkey', 'user_sessions_session_token_key', 'user_sessions_refresh_token_key',
      'user_sessions_user_id_idx', 'user_sessions_active_expires_at_idx', 'user_sessions_device_id_idx',
      'audit_logs_pkey', 'audit_logs_created_at_idx', 'audit_logs_user_id_idx', 'audit_logs_resource_idx',
      'audit_logs_action_idx', 'audit_logs_request_id_idx', 'audit_logs_failed_login_ip_idx'
  );

-- A table makes a type of its name, so the tables are here as well.
SELECT count(*) = 0 AS "no type has a name that 001 creates"
FROM pg_type
WHERE typnamespace = to_regnamespace('public')
  AND typname IN (
      'mfa_method', 'session_status', 'device_type', 'audit_action',
      'auth_settings', 'users', 'user_sessions', 'audit_logs',
      'active_users', 'active_sessions_with_users', 'recent_audit_events'
  );

SELECT count(*) = 0 AS "no function has a name that 001 creates"
FROM pg_proc
WHERE pronamespace = to_regnamespace('public')
  AND proname IN (
      'audit_redact', 'app_setting', 'log_audit_event', 'audit_action_of_change', 'audit_row_change',
      'refuse_audit_change', 'hash_password', 'verify_password', 'record_failed_login',
      'record_successful_login', 'lock_user_account', 'unlock_user_account', 'expire_old_sessions',
      'cleanup_old_audit_logs', 'set_updated_at', 'revoke_sessions_of_deleted_user'
  );

-- On Debian this is the package postgresql-contrib; a server built without OpenSSL has no pgcrypto.
SELECT count(*) = 1 AS "the extension pgcrypto is available on the server"
FROM pg_available_extensions
WHERE name = 'pgcrypto';

SELECT count(*) = 0 AS "pgcrypto, if installed already, is in the schema public"
FROM pg_extension
WHERE extname = 'pgcrypto' AND extnamespace IS DISTINCT FROM to_regnamespace('public');

SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pgcrypto')
    OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
    OR (
        has_database_privilege(current_database(), 'CREATE')
        AND EXISTS (
            SELECT FROM pg_available_extensions AS e
            JOIN pg_available_extension_versions AS v ON v.name = e.name AND v.version = e.default_version
            WHERE e.name = 'pgcrypto' AND v.trusted
        )
    ) AS "this role may install pgcrypto, or it is installed already";
