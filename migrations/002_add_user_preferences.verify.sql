-- 002_add_user_preferences, verify: each statement must return only true.

SELECT (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum
        WHERE enumtypid = to_regtype('public.ui_theme'))
       IS NOT DISTINCT FROM ARRAY['system', 'light', 'dark'] AS "the enum ui_theme has its values";

SELECT (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum
        WHERE enumtypid = to_regtype('public.notification_channel'))
       IS NOT DISTINCT FROM ARRAY['email', 'sms', 'push'] AS "the enum notification_channel has its values";

SELECT (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum
        WHERE enumtypid = to_regtype('public.digest_frequency'))
       IS NOT DISTINCT FROM ARRAY['never', 'daily', 'weekly'] AS "the enum digest_frequency has its values";

SELECT count(*) = 0 AS "every column has its type, nullability and default"
FROM (VALUES
    ('user_id', 'uuid', true, NULL), ('locale', 'text', true, '''en''::text'), ('timezone', 'text', true, '''UTC''::text'),
    ('theme', 'ui_theme', true, '''system''::ui_theme'),
    ('security_alert_channel', 'notification_channel', true, '''email''::notification_channel'),
    ('notify_new_device', 'boolean', true, 'true'),
    ('activity_digest', 'digest_frequency', true, '''never''::digest_frequency'),
    ('marketing_consent', 'boolean', true, 'false'), ('marketing_consent_at', 'timestamp with time zone', false, NULL),
    ('session_timeout_minutes', 'integer', false, NULL), ('extra', 'jsonb', true, '''{}''::jsonb'),
    ('created_at', 'timestamp with time zone', true, 'now()'), ('updated_at', 'timestamp with time zone', true, 'now()')
) AS expected (name, type, not_null, default_value)
FULL JOIN (
    SELECT a.attname::text COLLATE "default" AS name, format_type(a.atttypid, a.atttypmod) AS type,
           a.attnotnull AS not_null, pg_get_expr(d.adbin, d.adrelid) AS default_value
    FROM pg_attribute AS a
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = to_regclass('public.user_preferences') AND a.attnum > 0 AND NOT a.attisdropped
) AS actual ON actual.name = expected.name
WHERE (actual.type, actual.not_null, actual.default_value)
      IS DISTINCT FROM (expected.type, expected.not_null, expected.default_value);

SELECT count(*) = 0 AS "every constraint exists and is validated"
FROM (VALUES
    ('user_preferences_pkey'), ('user_preferences_user_id_fkey'), ('user_preferences_locale_shape'),
    ('user_preferences_timezone_shape'), ('user_preferences_marketing_consent_is_dated'),
    ('user_preferences_session_timeout_range'), ('user_preferences_extra_is_small_object')
) AS expected (constraint_name)
WHERE NOT EXISTS (
    SELECT FROM pg_constraint AS c
    WHERE c.conrelid = to_regclass('public.user_preferences') AND c.conname = constraint_name AND c.convalidated
);

SELECT count(*) = 1 AS "erasing a user erases the preferences"
FROM pg_constraint
WHERE conrelid = to_regclass('public.user_preferences') AND confrelid = to_regclass('public.users')
  AND contype = 'f' AND confdeltype = 'c';

SELECT count(*) = 2 AS "every index exists and is valid"
FROM pg_index
WHERE indrelid = to_regclass('public.user_preferences') AND indisvalid AND indisready
  AND indexrelid IN (to_regclass('public.user_preferences_pkey'), to_regclass('public.user_preferences_digest_idx'));

SELECT count(*) = 1 AS "the trigger function exists, as its caller, fixed search_path"
FROM pg_proc
WHERE oid = to_regprocedure('public.create_user_preferences()') AND prorettype = 'trigger'::regtype
  AND NOT prosecdef AND proconfig @> ARRAY['search_path=public, pg_temp'];

SELECT count(*) = 0 AS "every trigger exists, is enabled and calls its function"
FROM (VALUES
    ('users', 'users_create_preferences', 'create_user_preferences'),
    ('user_preferences', 'user_preferences_set_updated_at', 'set_updated_at'),
    ('user_preferences', 'user_preferences_audit', 'audit_row_change')
) AS expected (table_name, trigger_name, function_name)
WHERE NOT EXISTS (
    SELECT FROM pg_trigger AS t
    WHERE t.tgrelid = to_regclass('public.' || table_name) AND t.tgname = trigger_name
      AND t.tgfoid = to_regproc('public.' || function_name) AND t.tgenabled IN ('O', 'A')
);

SELECT count(*) = 0 AS "every user has preferences"
FROM users AS u
WHERE NOT EXISTS (SELECT FROM user_preferences AS p WHERE p.user_id = u.id);

-- Writes to users wait for this migration, so every row is still the backfill's.
SELECT count(*) = 0 AS "nobody was given a marketing consent"
FROM user_preferences
WHERE marketing_consent OR marketing_consent_at IS NOT NULL;

SELECT count(*) = 0 AS "every object has a comment"
FROM (
    SELECT 'relation' AS kind, obj_description(to_regclass('public.user_preferences'), 'pg_class') AS comment
    UNION ALL
    SELECT 'index', obj_description(indexrelid, 'pg_class')
    FROM pg_index
    WHERE indrelid = to_regclass('public.user_preferences')
    UNION ALL
    SELECT 'type', obj_description(oid, 'pg_type')
    FROM pg_type
    WHERE typnamespace = 'public'::regnamespace
      AND typname IN ('ui_theme', 'notification_channel', 'digest_frequency')
    UNION ALL
    SELECT 'function', obj_description(to_regprocedure('public.create_user_preferences()'), 'pg_proc')
    UNION ALL
    SELECT 'trigger', obj_description(oid, 'pg_trigger')
    FROM pg_trigger
    WHERE NOT tgisinternal
      AND (tgrelid = to_regclass('public.user_preferences') OR tgname = 'users_create_preferences')
    UNION ALL
    SELECT 'constraint', obj_description(oid, 'pg_constraint')
    FROM pg_constraint
    WHERE conrelid = to_regclass('public.user_preferences') AND contype <> 'n'
    UNION ALL
    SELECT 'column', col_description(attrelid, attnum)
    FROM pg_attribute
    WHERE attrelid = to_regclass('public.user_preferences') AND attnum > 0 AND NOT attisdropped
) AS object
WHERE comment IS NULL;
