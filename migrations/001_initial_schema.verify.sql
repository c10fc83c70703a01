-- 001_initial_schema, verify: each statement must return only true. Claims have at most 63 bytes, the
-- length of an identifier. Columns are compared with the catalog both ways: a surplus one fails too.

-- Extension and types --------------------------------------------------------------------------------

SELECT count(*) = 1 AS "pgcrypto is installed in the schema public"
FROM pg_extension
WHERE extname = 'pgcrypto' AND extnamespace = 'public'::regnamespace;

SELECT (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum
        WHERE enumtypid = to_regtype('public.mfa_method'))
       IS NOT DISTINCT FROM ARRAY['totp', 'sms', 'email'] AS "the enum mfa_method has its values";

SELECT (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum
        WHERE enumtypid = to_regtype('public.session_status'))
       IS NOT DISTINCT FROM ARRAY['active', 'expired', 'revoked'] AS "the enum session_status has its values";

SELECT (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum
        WHERE enumtypid = to_regtype('public.device_type'))
       IS NOT DISTINCT FROM ARRAY['desktop', 'mobile', 'tablet', 'api', 'other'] AS "the enum device_type has its values";

SELECT (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum
        WHERE enumtypid = to_regtype('public.audit_action'))
       IS NOT DISTINCT FROM ARRAY[
           'create', 'update', 'delete', 'restore', 'login', 'login_failed', 'logout', 'account_locked',
           'account_unlocked', 'password_changed', 'email_verified', 'mfa_enabled', 'mfa_disabled',
           'session_expired', 'session_revoked', 'retention_cleanup'
       ] AS "the enum audit_action has its values";


-- Tables ---------------------------------------------------------------------------------------------

SELECT count(*) = 4 AS "all four tables exist"
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
  AND relname IN ('auth_settings', 'users', 'user_sessions', 'audit_logs');

SELECT count(*) = 0 AS "every column of auth_settings has its type, not null"
FROM (VALUES
    ('singleton', 'boolean', true), ('bcrypt_cost', 'integer', true), ('max_failed_login_attempts', 'integer', true),
    ('account_lock_minutes', 'integer', true), ('audit_retention_days', 'integer', true),
    ('updated_at', 'timestamp with time zone', true)
) AS expected (name, type, not_null)
FULL JOIN (
    SELECT attname::text COLLATE "default" AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS not_null
    FROM pg_attribute
    WHERE attrelid = to_regclass('public.auth_settings') AND attnum > 0 AND NOT attisdropped
) AS actual ON actual = expected
WHERE actual IS NULL OR expected IS NULL;

SELECT count(*) = 0 AS "every column of users has its type and nullability"
FROM (VALUES
    ('id', 'uuid', true), ('email', 'text', true), ('username', 'text', true), ('password_hash', 'text', true),
    ('first_name', 'text', false), ('last_name', 'text', false), ('phone', 'text', false),
    ('failed_login_attempts', 'integer', true), ('account_locked_until', 'timestamp with time zone', false),
    ('mfa_enabled', 'boolean', true), ('mfa_method', 'mfa_method', false), ('mfa_secret', 'text', false),
    ('mfa_backup_codes', 'text[]', false), ('email_verified', 'boolean', true),
    ('email_verification_token', 'text', false),
    ('email_verification_expires_at', 'timestamp with time zone', false),
    ('created_at', 'timestamp with time zone', true), ('updated_at', 'timestamp with time zone', true),
    ('last_login_at', 'timestamp with time zone', false), ('last_login_ip', 'inet', false),
    ('deleted_at', 'timestamp with time zone', false)
) AS expected (name, type, not_null)
FULL JOIN (
    SELECT attname::text COLLATE "default" AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS not_null
    FROM pg_attribute
    WHERE attrelid = to_regclass('public.users') AND attnum > 0 AND NOT attisdropped
) AS actual ON actual = expected
WHERE actual IS NULL OR expected IS NULL;

SELECT count(*) = 0 AS "every column of user_sessions has its type and nullability"
FROM (VALUES
    ('id', 'uuid', true), ('user_id', 'uuid', true), ('session_token', 'text', true), ('refresh_token', 'text', false),
    ('expires_at', 'timestamp with time zone', true), ('device_id', 'text', false),
    ('device_type', 'device_type', true), ('platform', 'text', false), ('user_agent', 'text', false),
    ('ip_address', 'inet', false), ('location_data', 'jsonb', true), ('is_persistent', 'boolean', true),
    ('status', 'session_status', true), ('created_at', 'timestamp with time zone', true),
    ('last_activity_at', 'timestamp with time zone', true), ('revoked_at', 'timestamp with time zone', false)
) AS expected (name, type, not_null)
FULL JOIN (
    SELECT attname::text COLLATE "default" AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS not_null
    FROM pg_attribute
    WHERE attrelid = to_regclass('public.user_sessions') AND attnum > 0 AND NOT attisdropped
) AS actual ON actual = expected
WHERE actual IS NULL OR expected IS NULL;

SELECT count(*) = 0 AS "every column of audit_logs has its type and nullability"
FROM (VALUES
    ('id', 'bigint', true), ('user_id', 'uuid', false), ('session_id', 'uuid', false), ('ip_address', 'inet', false),
    ('action', 'audit_action', true), ('resource_type', 'text', true), ('resource_id', 'text', false),
    ('old_values', 'jsonb', false), ('new_values', 'jsonb', false), ('description', 'text', false),
    ('metadata', 'jsonb', true), ('request_id', 'text', false), ('created_at', 'timestamp with time zone', true)
) AS expected (name, type, not_null)
FULL JOIN (
    SELECT attname::text COLLATE "default" AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS not_null
    FROM pg_attribute
    WHERE attrelid = to_regclass('public.audit_logs') AND attnum > 0 AND NOT attisdropped
) AS actual ON actual = expected
WHERE actual IS NULL OR expected IS NULL;

SELECT count(*) = 0 AS "every column with a default has one"
FROM (VALUES
    ('auth_settings', 'singleton'), ('auth_settings', 'bcrypt_cost'), ('auth_settings', 'max_failed_login_attempts'),
    ('auth_settings', 'account_lock_minutes'), ('auth_settings', 'audit_retention_days'),
    ('auth_settings', 'updated_at'),
    ('users', 'id'), ('users', 'failed_login_attempts'), ('users', 'mfa_enabled'), ('users', 'email_verified'),
    ('users', 'created_at'), ('users', 'updated_at'),
    ('user_sessions', 'id'), ('user_sessions', 'session_token'), ('user_sessions', 'refresh_token'),
    ('user_sessions', 'device_type'), ('user_sessions', 'location_data'), ('user_sessions', 'is_persistent'),
    ('user_sessions', 'status'), ('user_sessions', 'created_at'), ('user_sessions', 'last_activity_at'),
    ('audit_logs', 'metadata'), ('audit_logs', 'created_at')
) AS expected (table_name, column_name)
WHERE NOT EXISTS (
    SELECT FROM pg_attribute AS a
    WHERE a.attrelid = to_regclass('public.' || table_name) AND a.attname = column_name AND a.atthasdef
);


-- Constraints and indexes ----------------------------------------------------------------------------

SELECT count(*) = 0 AS "every constraint exists and is validated"
FROM (VALUES
    ('auth_settings', 'auth_settings_pkey'), ('auth_settings', 'auth_settings_is_one_row'),
    ('auth_settings', 'auth_settings_bcrypt_cost_range'),
    ('auth_settings', 'auth_settings_max_failed_login_attempts_range'),
    ('auth_settings', 'auth_settings_account_lock_minutes_range'),
    ('auth_settings', 'auth_settings_audit_retention_days_range'),
    ('users', 'users_pkey'), ('users', 'users_email_shape'), ('users', 'users_username_shape'),
    ('users', 'users_password_hash_is_bcrypt'), ('users', 'users_names_length'), ('users', 'users_phone_length'),
    ('users', 'users_failed_login_attempts_not_negative'), ('users', 'users_mfa_enabled_has_method'),
    ('users', 'users_totp_has_secret'), ('users', 'users_verified_email_has_no_token'),
    ('user_sessions', 'user_sessions_pkey'), ('user_sessions', 'user_sessions_user_id_fkey'),
    ('user_sessions', 'user_sessions_session_token_key'), ('user_sessions', 'user_sessions_refresh_token_key'),
    ('user_sessions', 'user_sessions_token_length'), ('user_sessions', 'user_sessions_tokens_differ'),
    ('user_sessions', 'user_sessions_expires_after_creation'),
    ('user_sessions', 'user_sessions_revoked_at_matches_status'),
    ('user_sessions', 'user_sessions_location_data_is_object'),
    ('audit_logs', 'audit_logs_pkey'), ('audit_logs', 'audit_logs_resource_type_shape'),
    ('audit_logs', 'audit_logs_values_are_objects'), ('audit_logs', 'audit_logs_without_secrets')
) AS expected (table_name, constraint_name)
WHERE NOT EXISTS (
    SELECT FROM pg_constraint AS c
    WHERE c.conrelid = to_regclass('public.' || table_name) AND c.conname = constraint_name AND c.convalidated
);

SELECT count(*) = 1 AS "erasing a user erases the sessions"
FROM pg_constraint
WHERE conrelid = to_regclass('public.user_sessions') AND confrelid = to_regclass('public.users')
  AND contype = 'f' AND confdeltype = 'c';

SELECT count(*) = 0 AS "audit_logs has no foreign key: its rows outlive users"
FROM pg_constraint
WHERE conrelid = to_regclass('public.audit_logs') AND contype = 'f';

SELECT count(*) = 0 AS "every index exists, is valid and is on its table"
FROM (VALUES
    ('users', 'users_pkey', true), ('users', 'users_email_key', true), ('users', 'users_username_key', true),
    ('users', 'users_email_verification_token_key', true), ('users', 'users_failed_logins_idx', false),
    ('users', 'users_locked_idx', false), ('users', 'users_created_at_idx', false),
    ('users', 'users_deleted_at_idx', false),
    ('user_sessions', 'user_sessions_pkey', true), ('user_sessions', 'user_sessions_session_token_key', true),
    ('user_sessions', 'user_sessions_refresh_token_key', true), ('user_sessions', 'user_sessions_user_id_idx', false),
    ('user_sessions', 'user_sessions_active_expires_at_idx', false),
    ('user_sessions', 'user_sessions_device_id_idx', false),
    ('audit_logs', 'audit_logs_pkey', true), ('audit_logs', 'audit_logs_created_at_idx', false),
    ('audit_logs', 'audit_logs_user_id_idx', false), ('audit_logs', 'audit_logs_resource_idx', false),
    ('audit_logs', 'audit_logs_action_idx', false), ('audit_logs', 'audit_logs_request_id_idx', false),
    ('audit_logs', 'audit_logs_failed_login_ip_idx', false)
) AS expected (table_name, index_name, is_unique)
WHERE NOT EXISTS (
    SELECT FROM pg_index AS i
    WHERE i.indexrelid = to_regclass('public.' || index_name) AND i.indrelid = to_regclass('public.' || table_name)
      AND i.indisvalid AND i.indisready AND i.indisunique = is_unique
);

SELECT count(*) = 2 AS "e-mail and username are unique, ignoring case"
FROM pg_index
WHERE indrelid = to_regclass('public.users') AND indisunique
  AND pg_get_expr(indexprs, indrelid) IN ('lower(email)', 'lower(username)')
  AND pg_get_expr(indpred, indrelid) = '(deleted_at IS NULL)';


-- Functions ------------------------------------------------------------------------------------------

SELECT count(*) = 0 AS "every function exists, as its caller, with fixed search_path"
FROM (VALUES
    ('audit_redact(jsonb)', 'jsonb'), ('app_setting(text)', 'text'),
    ('log_audit_event(audit_action,text,text,text,jsonb,jsonb,jsonb,uuid,uuid,inet)', 'bigint'),
    ('audit_action_of_change(text,text,jsonb,jsonb)', 'audit_action'), ('audit_row_change()', 'trigger'),
    ('refuse_audit_change()', 'trigger'), ('hash_password(text,integer)', 'text'),
    ('verify_password(text,text)', 'boolean'), ('record_failed_login(text,inet)', 'record'),
    ('record_successful_login(uuid,inet)', 'boolean'), ('lock_user_account(text,integer)', 'boolean'),
    ('unlock_user_account(text)', 'boolean'), ('expire_old_sessions()', 'bigint'),
    ('cleanup_old_audit_logs(integer)', 'bigint'), ('set_updated_at()', 'trigger'),
    ('revoke_sessions_of_deleted_user()', 'trigger')
) AS expected (signature, result)
WHERE NOT EXISTS (
    SELECT FROM pg_proc AS p
    WHERE p.oid = to_regprocedure('public.' || signature) AND p.prorettype = to_regtype(result)
      AND NOT p.prosecdef AND p.proconfig @> ARRAY['search_path=public, pg_temp']
);

SELECT hash_password('correct horse', 10) ~ '^\$2a\$10\$' AS "hash_password uses bcrypt at the given cost";

SELECT hash_password('correct horse') LIKE format('$2a$%s$%%', lpad(bcrypt_cost::text, 2, '0'))
       AS "hash_password uses the configured cost by default"
FROM auth_settings;

-- 2a, and the same hash as other libraries label it.
SELECT bool_and(verify_password('correct horse', prefix || '10$ABCDEFGHIJKLMNOPQRSTUunlZRSh10lHsJ6SkDPm48svJduA2MzDq'))
       AS "verify_password accepts the right password"
FROM (VALUES ('$2a$'), ('$2b$'), ('$2y$')) AS variant (prefix);

SELECT NOT verify_password('wrong horse', '$2a$10$ABCDEFGHIJKLMNOPQRSTUunlZRSh10lHsJ6SkDPm48svJduA2MzDq')
   AND NOT verify_password('correct horse', 'correct horse')
   AND NOT verify_password('correct horse', '$2a$99' || right('$2a$10$ABCDEFGHIJKLMNOPQRSTUunlZRSh10lHsJ6SkDPm48svJduA2MzDq', 54))
   AND NOT verify_password('correct horse', NULL)
       AS "verify_password refuses a wrong password or malformed hash";


-- Audit trail ----------------------------------------------------------------------------------------

-- The columns are read from the catalog, so that a renamed or new secret column fails here.
SELECT count(*) = 0 AS "audit_redact strips every secret column"
FROM pg_attribute
WHERE attrelid IN (to_regclass('public.users'), to_regclass('public.user_sessions'))
  AND attnum > 0 AND NOT attisdropped
  AND attname ~ '(hash|token|secret|codes)'
  AND audit_redact(jsonb_build_object(attname, 'x')) <> '{}';

SELECT audit_redact('{"password_hash": "x", "mfa_secret": "x", "mfa_backup_codes": ["x"], "email_verification_token": "x",
                      "session_token": "x", "refresh_token": "x", "email": "a@example.com"}') = '{"email": "a@example.com"}'
       AS "audit_redact keeps what is no secret";

SELECT count(*) = 0 AS "every trigger exists, is enabled and calls its function"
FROM (VALUES
    ('auth_settings', 'auth_settings_set_updated_at', 'set_updated_at'),
    ('auth_settings', 'auth_settings_audit', 'audit_row_change'),
    ('users', 'users_set_updated_at', 'set_updated_at'),
    ('users', 'users_audit', 'audit_row_change'),
    ('users', 'users_revoke_sessions', 'revoke_sessions_of_deleted_user'),
    ('user_sessions', 'user_sessions_audit', 'audit_row_change'),
    ('user_sessions', 'user_sessions_audit_status', 'audit_row_change'),
    ('audit_logs', 'audit_logs_append_only', 'refuse_audit_change'),
    ('audit_logs', 'audit_logs_protect_recent', 'refuse_audit_change')
) AS expected (table_name, trigger_name, function_name)
WHERE NOT EXISTS (
    SELECT FROM pg_trigger AS t
    WHERE t.tgrelid = to_regclass('public.' || table_name) AND t.tgname = trigger_name
      AND t.tgfoid = to_regproc('public.' || function_name) AND t.tgenabled IN ('O', 'A')
);

SELECT count(*) = 1 AS "the audit trail recorded the default settings"
FROM audit_logs
WHERE action = 'create' AND resource_type = 'auth_settings' AND new_values ? 'bcrypt_cost' AND old_values IS NULL;


-- Views ----------------------------------------------------------------------------------------------

SELECT count(*) = 3 AS "all three views exist"
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
  AND relname IN ('active_users', 'active_sessions_with_users', 'recent_audit_events');

SELECT count(*) = 0 AS "no view shows a secret column"
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'public'::regnamespace
  AND c.relname IN ('active_users', 'active_sessions_with_users', 'recent_audit_events')
  AND a.attname ~ '(password|token|secret|codes)';

SELECT count(*) = 1 AS "recent_audit_events shows the event of this migration"
FROM recent_audit_events
WHERE action = 'create' AND resource_type = 'auth_settings';


-- Default data and comments --------------------------------------------------------------------------

SELECT count(*) = 1 AS "auth_settings has its one row with the default policy"
FROM auth_settings
WHERE bcrypt_cost = 12 AND max_failed_login_attempts = 5 AND account_lock_minutes = 15 AND audit_retention_days = 365;

SELECT count(*) = 0 AS "every object has a comment"
FROM (
    SELECT 'relation' AS kind, c.oid, obj_description(c.oid, 'pg_class') AS comment
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace
      AND c.relname IN ('auth_settings', 'users', 'user_sessions', 'audit_logs',
                        'active_users', 'active_sessions_with_users', 'recent_audit_events')
    UNION ALL
    SELECT 'index', i.indexrelid, obj_description(i.indexrelid, 'pg_class')
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'public'::regnamespace
      AND c.relname IN ('auth_settings', 'users', 'user_sessions', 'audit_logs')
    UNION ALL
    SELECT 'type', t.oid, obj_description(t.oid, 'pg_type')
    FROM pg_type AS t
    WHERE t.typnamespace = 'public'::regnamespace
      AND t.typname IN ('mfa_method', 'session_status', 'device_type', 'audit_action')
    UNION ALL
    SELECT 'function', p.oid, obj_description(p.oid, 'pg_proc')
    FROM pg_proc AS p
    WHERE p.pronamespace = 'public'::regnamespace
      AND p.proname IN (
          'audit_redact', 'app_setting', 'log_audit_event', 'audit_action_of_change', 'audit_row_change',
          'refuse_audit_change', 'hash_password', 'verify_password', 'record_failed_login',
          'record_successful_login', 'lock_user_account', 'unlock_user_account', 'expire_old_sessions',
          'cleanup_old_audit_logs', 'set_updated_at', 'revoke_sessions_of_deleted_user'
      )
    UNION ALL
    SELECT 'trigger', t.oid, obj_description(t.oid, 'pg_trigger')
    FROM pg_trigger AS t
    JOIN pg_class AS c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal
      AND c.relname IN ('auth_settings', 'users', 'user_sessions', 'audit_logs')
    UNION ALL
    -- NOT NULL is a constraint of its own from PostgreSQL 18 on; its column is commented.
    SELECT 'constraint', k.oid, obj_description(k.oid, 'pg_constraint')
    FROM pg_constraint AS k
    JOIN pg_class AS c ON c.oid = k.conrelid
    WHERE c.relnamespace = 'public'::regnamespace AND k.contype <> 'n'
      AND c.relname IN ('auth_settings', 'users', 'user_sessions', 'audit_logs')
) AS object
WHERE comment IS NULL;

SELECT count(*) = 0 AS "every column of a table has a comment"
FROM pg_attribute AS a
WHERE a.attrelid IN (to_regclass('public.auth_settings'), to_regclass('public.users'),
                     to_regclass('public.user_sessions'), to_regclass('public.audit_logs'))
  AND a.attnum > 0 AND NOT a.attisdropped
  AND col_description(a.attrelid, a.attnum) IS NULL;
