-- 002_add_user_preferences, down: removes the preferences, newest object first. What users chose is lost;
-- the changes stay in audit_logs, as resource_type user_preferences.

DO $$
BEGIN
    RAISE NOTICE 'rolling back 002_add_user_preferences: dropping the preferences of % users, % of them changed',
        (SELECT count(*) FROM user_preferences),
        (SELECT count(*) FROM user_preferences WHERE updated_at > created_at);
END
$$;

DROP TRIGGER user_preferences_audit ON user_preferences;
DROP TRIGGER user_preferences_set_updated_at ON user_preferences;
DROP TRIGGER users_create_preferences ON users;
DROP FUNCTION create_user_preferences();

DROP TABLE user_preferences;

DROP TYPE digest_frequency;
DROP TYPE notification_channel;
DROP TYPE ui_theme;

DO $$
DECLARE
    v_left text;
BEGIN
    SELECT string_agg(kind || ' ' || name, ', ' ORDER BY kind, name) INTO v_left
    FROM (
        SELECT 'relation' AS kind, relname::text AS name
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
          AND relname IN ('user_preferences', 'user_preferences_pkey', 'user_preferences_digest_idx')
        UNION ALL
        SELECT 'type', typname::text
        FROM pg_type
        WHERE typnamespace = 'public'::regnamespace
          AND typname IN ('ui_theme', 'notification_channel', 'digest_frequency')
        UNION ALL
        SELECT 'function', oid::regprocedure::text
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND proname = 'create_user_preferences'
        UNION ALL
        SELECT 'trigger', tgname::text
        FROM pg_trigger
        WHERE tgrelid = to_regclass('public.users') AND tgname = 'users_create_preferences'
    ) AS leftover;

    IF v_left IS NOT NULL THEN
        RAISE EXCEPTION 'rolling back 002_add_user_preferences left something behind: %', v_left;
    END IF;
    RAISE NOTICE 'rolled back 002_add_user_preferences: nothing is left';
END
$$;
