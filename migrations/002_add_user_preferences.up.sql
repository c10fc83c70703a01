-- 002_add_user_preferences: language, appearance, notifications and sign-in preferences of each user.
-- Every user has exactly one row: a trigger makes it for new users, a backfill for those who exist.

CREATE TYPE ui_theme AS ENUM ('system', 'light', 'dark');
COMMENT ON TYPE ui_theme IS 'Colours of the user interface; system follows the device.';

CREATE TYPE notification_channel AS ENUM ('email', 'sms', 'push');
COMMENT ON TYPE notification_channel IS 'Way to reach a user.';

CREATE TYPE digest_frequency AS ENUM ('never', 'daily', 'weekly');
COMMENT ON TYPE digest_frequency IS 'How often a user receives a summary of the account''s activity.';

CREATE TABLE user_preferences (
    user_id                 uuid                 NOT NULL,
    locale                  text                 NOT NULL DEFAULT 'en',
    timezone                text                 NOT NULL DEFAULT 'UTC',
    theme                   ui_theme             NOT NULL DEFAULT 'system',
    security_alert_channel  notification_channel NOT NULL DEFAULT 'email',
    notify_new_device       boolean              NOT NULL DEFAULT true,
    activity_digest         digest_frequency     NOT NULL DEFAULT 'never',
    marketing_consent       boolean              NOT NULL DEFAULT false,
    marketing_consent_at    timestamptz,
    session_timeout_minutes integer,
    extra                   jsonb                NOT NULL DEFAULT '{}',
    created_at              timestamptz          NOT NULL DEFAULT now(),
    updated_at              timestamptz          NOT NULL DEFAULT now(),

    CONSTRAINT user_preferences_pkey PRIMARY KEY (user_id),
    CONSTRAINT user_preferences_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT user_preferences_locale_shape CHECK (locale ~ '^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$'),
    CONSTRAINT user_preferences_timezone_shape CHECK (
        timezone ~ '^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$' AND length(timezone) <= 64
    ),
    CONSTRAINT user_preferences_marketing_consent_is_dated CHECK (
        marketing_consent = (marketing_consent_at IS NOT NULL)
    ),
    CONSTRAINT user_preferences_session_timeout_range CHECK (session_timeout_minutes BETWEEN 5 AND 43200),
    CONSTRAINT user_preferences_extra_is_small_object CHECK (
        jsonb_typeof(extra) = 'object' AND length(extra::text) <= 8192
    )
);

COMMENT ON TABLE user_preferences IS 'Preferences: one row per user, which goes with the user.';
COMMENT ON COLUMN user_preferences.user_id IS 'User whose preferences these are.';
COMMENT ON COLUMN user_preferences.locale IS 'BCP 47 language tag: language, optional script, optional region.';
COMMENT ON COLUMN user_preferences.timezone IS 'IANA time zone name; the application checks that it exists.';
COMMENT ON COLUMN user_preferences.theme IS 'Colours of the user interface.';
COMMENT ON COLUMN user_preferences.security_alert_channel IS 'Where security alerts go; they cannot be turned off.';
COMMENT ON COLUMN user_preferences.notify_new_device IS 'Whether a login from an unknown device sends an alert.';
COMMENT ON COLUMN user_preferences.activity_digest IS 'How often to send a summary of the activity.';
COMMENT ON COLUMN user_preferences.marketing_consent IS 'Whether the user agreed to marketing; never by default.';
COMMENT ON COLUMN user_preferences.marketing_consent_at IS 'Time of that agreement, the proof of it; NULL exactly without one.';
COMMENT ON COLUMN user_preferences.session_timeout_minutes IS 'Idle time after which to sign the user out, in minutes; NULL: the policy of the service.';
COMMENT ON COLUMN user_preferences.extra IS 'Object of preferences of single clients that need no constraint. Not for secrets.';
COMMENT ON COLUMN user_preferences.created_at IS 'Time at which the row was made.';
COMMENT ON COLUMN user_preferences.updated_at IS 'Last change, kept by a trigger.';
COMMENT ON CONSTRAINT user_preferences_pkey ON user_preferences IS 'At most one row per user.';
COMMENT ON CONSTRAINT user_preferences_user_id_fkey ON user_preferences IS 'Erasing a user erases the preferences.';
COMMENT ON CONSTRAINT user_preferences_locale_shape ON user_preferences IS 'en, pt-BR, zh-Hant-TW, es-419.';
COMMENT ON CONSTRAINT user_preferences_timezone_shape ON user_preferences IS
    'Shape only: which names exist changes with the time zone data of the server.';
COMMENT ON CONSTRAINT user_preferences_marketing_consent_is_dated ON user_preferences IS 'Consent without a date proves nothing.';
COMMENT ON CONSTRAINT user_preferences_session_timeout_range ON user_preferences IS '5 minutes to 30 days.';
COMMENT ON CONSTRAINT user_preferences_extra_is_small_object ON user_preferences IS 'At most 8 KiB as text.';

CREATE INDEX user_preferences_digest_idx ON user_preferences (activity_digest) WHERE activity_digest <> 'never';

COMMENT ON INDEX user_preferences_pkey IS 'Behind the primary key.';
COMMENT ON INDEX user_preferences_digest_idx IS 'Recipients of a digest.';

CREATE FUNCTION create_user_preferences() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO user_preferences (user_id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION create_user_preferences() IS 'Trigger: gives a new user the default preferences.';

-- Before the backfill: creating a trigger blocks writes to users until COMMIT, so that no user is added
-- between the two and missed by both.
CREATE TRIGGER users_create_preferences
    AFTER INSERT ON users
    FOR EACH ROW EXECUTE FUNCTION create_user_preferences();
COMMENT ON TRIGGER users_create_preferences ON users IS 'Every user has preferences.';

-- Soft-deleted users included: they may be restored.
INSERT INTO user_preferences (user_id) SELECT id FROM users;

CREATE TRIGGER user_preferences_set_updated_at
    BEFORE UPDATE ON user_preferences
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
COMMENT ON TRIGGER user_preferences_set_updated_at ON user_preferences IS
    'Keeps updated_at; an update that changes nothing leaves it alone.';

-- Inserts are not audited: they are all defaults, and the creation of the user is on record.
CREATE TRIGGER user_preferences_audit
    AFTER UPDATE OR DELETE ON user_preferences
    FOR EACH ROW EXECUTE FUNCTION audit_row_change('user_preferences', 'user_id');
COMMENT ON TRIGGER user_preferences_audit ON user_preferences IS 'Records changes: consent and alert channels are evidence.';

DO $$
BEGIN
    RAISE NOTICE '002_add_user_preferences: preferences for % existing users', (SELECT count(*) FROM user_preferences);
END
$$;
