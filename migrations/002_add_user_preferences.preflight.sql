-- 002_add_user_preferences, preflight: each statement must return only true. A users table that does not
-- exist yet passes: 001 may be pending in the same run, and up fails without it.

SELECT coalesce(current_schema() = 'public', false) AS "new objects go to the schema public";

SELECT count(*) = 0 AS "no table or index has a name that 002 creates"
FROM pg_class
WHERE relnamespace = to_regnamespace('public')
  AND relname IN ('user_preferences', 'user_preferences_pkey', 'user_preferences_digest_idx');

SELECT count(*) = 0 AS "no type has a name that 002 creates"
FROM pg_type
WHERE typnamespace = to_regnamespace('public')
  AND typname IN ('ui_theme', 'notification_channel', 'digest_frequency', 'user_preferences');

SELECT count(*) = 0 AS "no function has a name that 002 creates"
FROM pg_proc
WHERE pronamespace = to_regnamespace('public') AND proname = 'create_user_preferences';

SELECT count(*) = 0 AS "users has no trigger with a name that 002 creates"
FROM pg_trigger
WHERE tgrelid = to_regclass('public.users') AND tgname = 'users_create_preferences';

SELECT count(*) = 0 AS "users.id is a uuid"
FROM pg_attribute
WHERE attrelid = to_regclass('public.users') AND attname = 'id' AND atttypid <> 'uuid'::regtype;

-- A foreign key and a trigger on users need more than the right to create a table.
SELECT count(*) = 0 AS "this role owns users"
FROM pg_class
WHERE oid = to_regclass('public.users') AND NOT pg_has_role(relowner, 'USAGE');
