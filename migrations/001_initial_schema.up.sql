-- 001_initial_schema: accounts, sessions and the audit trail of the auth service.
--
-- The application may set these before it writes (SET LOCAL or set_config); each may be unset:
--   app.current_user_id     uuid of the signed-in user   -> audit_logs.user_id
--   app.current_session_id  uuid of that user's session  -> audit_logs.session_id
--   app.client_ip           inet of the client           -> audit_logs.ip_address
--   app.request_id          correlation id, free text    -> audit_logs.request_id
-- A malformed id or address raises an error: an anonymous audit row would hide the bug.
--
-- Every function pins search_path, so that a role with a schema of its own cannot shadow a table and
-- write past the audit trail. The functions that run for each audit row are PL/pgSQL, which keeps their
-- plans: before PostgreSQL 18 an SQL function that cannot be inlined is planned again at every call.


-- Extensions -----------------------------------------------------------------------------------------

-- pgcrypto provides crypt() and gen_salt() for bcrypt, and gen_random_bytes() for tokens. The comment
-- marks it as ours: down drops only the extension that this migration installed.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pgcrypto') THEN
        CREATE EXTENSION pgcrypto SCHEMA public;
        COMMENT ON EXTENSION pgcrypto IS 'cryptographic functions; installed by migration 001_initial_schema';
    END IF;
END
$$;


-- Types ----------------------------------------------------------------------------------------------

CREATE TYPE mfa_method AS ENUM ('totp', 'sms', 'email');
COMMENT ON TYPE mfa_method IS 'Second factor that a user has enrolled.';

CREATE TYPE session_status AS ENUM ('active', 'expired', 'revoked');
COMMENT ON TYPE session_status IS
    'active: usable until expires_at; expired: ran out; revoked: ended early by the user, an administrator or the system.';

CREATE TYPE device_type AS ENUM ('desktop', 'mobile', 'tablet', 'api', 'other');
COMMENT ON TYPE device_type IS 'Class of the client that opened a session.';

-- An enum value cannot be dropped, so the list is generic: resource_type tells what was created or
-- updated, and a later table needs no new value.
CREATE TYPE audit_action AS ENUM (
    'create', 'update', 'delete', 'restore',
    'login', 'login_failed', 'logout',
    'account_locked', 'account_unlocked',
    'password_changed', 'email_verified', 'mfa_enabled', 'mfa_disabled',
    'session_expired', 'session_revoked',
    'retention_cleanup'
);
COMMENT ON TYPE audit_action IS 'What happened, in the audit trail.';


-- Settings -------------------------------------------------------------------------------------------

CREATE TABLE auth_settings (
    singleton                 boolean     NOT NULL DEFAULT true,
    bcrypt_cost               integer     NOT NULL DEFAULT 12,
    max_failed_login_attempts integer     NOT NULL DEFAULT 5,
    account_lock_minutes      integer     NOT NULL DEFAULT 15,
    audit_retention_days      integer     NOT NULL DEFAULT 365,
    updated_at                timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT auth_settings_pkey PRIMARY KEY (singleton),
    CONSTRAINT auth_settings_is_one_row CHECK (singleton),
    CONSTRAINT auth_settings_bcrypt_cost_range CHECK (bcrypt_cost BETWEEN 10 AND 15),
    CONSTRAINT auth_settings_max_failed_login_attempts_range CHECK (max_failed_login_attempts BETWEEN 3 AND 100),
    CONSTRAINT auth_settings_account_lock_minutes_range CHECK (account_lock_minutes BETWEEN 1 AND 525600),
    CONSTRAINT auth_settings_audit_retention_days_range CHECK (audit_retention_days BETWEEN 30 AND 36500)
);

COMMENT ON TABLE auth_settings IS 'Policy of the auth service: exactly one row, read by the functions of this schema.';
COMMENT ON COLUMN auth_settings.singleton IS 'Always true; the primary key that keeps the table at one row.';
COMMENT ON COLUMN auth_settings.bcrypt_cost IS 'log2 of the bcrypt rounds for new hashes; each step doubles the time. Old hashes stay valid.';
COMMENT ON COLUMN auth_settings.max_failed_login_attempts IS 'Consecutive failures after which an account is locked.';
COMMENT ON COLUMN auth_settings.account_lock_minutes IS 'Length of the lock after too many failures, in minutes.';
COMMENT ON COLUMN auth_settings.audit_retention_days IS 'Age at which cleanup_old_audit_logs() without an argument deletes audit rows, in days.';
COMMENT ON COLUMN auth_settings.updated_at IS 'Last change, kept by a trigger.';
COMMENT ON CONSTRAINT auth_settings_pkey ON auth_settings IS 'With auth_settings_is_one_row: at most one row.';
COMMENT ON CONSTRAINT auth_settings_is_one_row ON auth_settings IS 'The key has one possible value.';
COMMENT ON CONSTRAINT auth_settings_bcrypt_cost_range ON auth_settings IS
    '10 is the least that OWASP accepts for bcrypt; above 15 a login takes seconds and invites denial of service.';
COMMENT ON CONSTRAINT auth_settings_max_failed_login_attempts_range ON auth_settings IS
    'Fewer than 3 locks people out for typing errors.';
COMMENT ON CONSTRAINT auth_settings_account_lock_minutes_range ON auth_settings IS 'One minute to one year.';
COMMENT ON CONSTRAINT auth_settings_audit_retention_days_range ON auth_settings IS
    'The lower bound is the one that audit_logs_protect_recent enforces.';
COMMENT ON INDEX auth_settings_pkey IS 'Behind the primary key.';


-- Users ----------------------------------------------------------------------------------------------

CREATE TABLE users (
    id                            uuid        NOT NULL DEFAULT gen_random_uuid(),
    email                         text        NOT NULL,
    username                      text        NOT NULL,
    password_hash                 text        NOT NULL,
    first_name                    text,
    last_name                     text,
    phone                         text,
    failed_login_attempts         integer     NOT NULL DEFAULT 0,
    account_locked_until          timestamptz,
    mfa_enabled                   boolean     NOT NULL DEFAULT false,
    mfa_method                    mfa_method,
    mfa_secret                    text,
    mfa_backup_codes              text[],
    email_verified                boolean     NOT NULL DEFAULT false,
    email_verification_token      text,
    email_verification_expires_at timestamptz,
    created_at                    timestamptz NOT NULL DEFAULT now(),
    updated_at                    timestamptz NOT NULL DEFAULT now(),
    last_login_at                 timestamptz,
    last_login_ip                 inet,
    deleted_at                    timestamptz,

    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_email_shape CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$' AND length(email) <= 254),
    CONSTRAINT users_username_shape CHECK (username ~ '^[A-Za-z0-9][A-Za-z0-9._-]{2,63}$'),
    CONSTRAINT users_password_hash_is_bcrypt CHECK (password_hash ~ '^\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}$'),
    CONSTRAINT users_names_length CHECK (length(first_name) <= 100 AND length(last_name) <= 100),
    CONSTRAINT users_phone_length CHECK (length(phone) <= 64),
    CONSTRAINT users_failed_login_attempts_not_negative CHECK (failed_login_attempts >= 0),
    CONSTRAINT users_mfa_enabled_has_method CHECK (NOT mfa_enabled OR mfa_method IS NOT NULL),
    CONSTRAINT users_totp_has_secret CHECK (NOT mfa_enabled OR mfa_method <> 'totp' OR mfa_secret IS NOT NULL),
    CONSTRAINT users_verified_email_has_no_token CHECK (NOT email_verified OR email_verification_token IS NULL)
);

COMMENT ON TABLE users IS 'Accounts. Deleting sets deleted_at; a row is removed only to erase a person.';
COMMENT ON COLUMN users.id IS 'Stable public identifier.';
COMMENT ON COLUMN users.email IS 'Address as the user typed it; compared without case.';
COMMENT ON COLUMN users.username IS 'Name to sign in with and to show; compared without case.';
COMMENT ON COLUMN users.password_hash IS 'bcrypt hash, see hash_password(). Secret: never audited, in no view.';
COMMENT ON COLUMN users.first_name IS 'Given name, optional.';
COMMENT ON COLUMN users.last_name IS 'Family name, optional.';
COMMENT ON COLUMN users.phone IS 'Phone number as the user typed it: free text, may be blank, in any notation.';
COMMENT ON COLUMN users.failed_login_attempts IS 'Consecutive failures since the last successful login.';
COMMENT ON COLUMN users.account_locked_until IS 'No login before this time; NULL or past: not locked.';
COMMENT ON COLUMN users.mfa_enabled IS 'Whether a login needs the second factor.';
COMMENT ON COLUMN users.mfa_method IS 'Enrolled second factor; may be set before mfa_enabled, during enrolment.';
COMMENT ON COLUMN users.mfa_secret IS 'TOTP seed, encrypted by the application. Secret: never audited, in no view.';
COMMENT ON COLUMN users.mfa_backup_codes IS 'Hashes of unused recovery codes. Secret: never audited, in no view.';
COMMENT ON COLUMN users.email_verified IS 'Whether the user has proved to own the address.';
COMMENT ON COLUMN users.email_verification_token IS 'Pending proof of the address. Secret: never audited, in no view.';
COMMENT ON COLUMN users.email_verification_expires_at IS 'End of validity of email_verification_token; NULL: none pending.';
COMMENT ON COLUMN users.created_at IS 'Time of registration.';
COMMENT ON COLUMN users.updated_at IS 'Last change of any column, kept by a trigger.';
COMMENT ON COLUMN users.last_login_at IS 'Last successful login.';
COMMENT ON COLUMN users.last_login_ip IS 'Client address of the last successful login.';
COMMENT ON COLUMN users.deleted_at IS 'Time of the soft delete; NULL: the account exists.';
COMMENT ON CONSTRAINT users_pkey ON users IS 'One row per account.';
COMMENT ON CONSTRAINT users_email_shape ON users IS
    'One @, no white space, at most 254 characters (RFC 5321). Only a mail sent there proves more.';
COMMENT ON CONSTRAINT users_username_shape ON users IS
    '3 to 64 characters and no @, so that a username is never mistaken for an address.';
COMMENT ON CONSTRAINT users_password_hash_is_bcrypt ON users IS 'Refuses a plain-text password.';
COMMENT ON CONSTRAINT users_names_length ON users IS 'Bounds what a form can store.';
COMMENT ON CONSTRAINT users_phone_length ON users IS 'Bounds what a form can store; the format is free.';
COMMENT ON CONSTRAINT users_failed_login_attempts_not_negative ON users IS 'A count.';
COMMENT ON CONSTRAINT users_mfa_enabled_has_method ON users IS 'A required second factor must be enrolled.';
COMMENT ON CONSTRAINT users_totp_has_secret ON users IS 'TOTP cannot be checked without its seed.';
COMMENT ON CONSTRAINT users_verified_email_has_no_token ON users IS 'A used token must be erased.';

-- A soft-deleted account frees its address and name: the person may register again.
CREATE UNIQUE INDEX users_email_key ON users (lower(email)) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_username_key ON users (lower(username)) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_email_verification_token_key ON users (email_verification_token)
    WHERE email_verification_token IS NOT NULL;
CREATE INDEX users_failed_logins_idx ON users (failed_login_attempts) WHERE failed_login_attempts > 0;
CREATE INDEX users_locked_idx ON users (account_locked_until) WHERE account_locked_until IS NOT NULL;
CREATE INDEX users_created_at_idx ON users (created_at);
CREATE INDEX users_deleted_at_idx ON users (deleted_at) WHERE deleted_at IS NOT NULL;

COMMENT ON INDEX users_pkey IS 'Behind the primary key.';
COMMENT ON INDEX users_email_key IS 'One existing account per address, whatever its case; the look-up at login.';
COMMENT ON INDEX users_username_key IS 'One existing account per username, whatever its case; the look-up at login.';
COMMENT ON INDEX users_email_verification_token_key IS 'Look-up of a verification link.';
COMMENT ON INDEX users_failed_logins_idx IS 'Monitoring: accounts with failed logins.';
COMMENT ON INDEX users_locked_idx IS 'Monitoring: locked accounts.';
COMMENT ON INDEX users_created_at_idx IS 'Newest accounts, registrations of a period.';
COMMENT ON INDEX users_deleted_at_idx IS 'Erasure of accounts deleted long ago.';


-- Sessions -------------------------------------------------------------------------------------------

CREATE TABLE user_sessions (
    id               uuid           NOT NULL DEFAULT gen_random_uuid(),
    user_id          uuid           NOT NULL,
    session_token    text           NOT NULL DEFAULT encode(gen_random_bytes(32), 'hex'),
    refresh_token    text           DEFAULT encode(gen_random_bytes(32), 'hex'),
    expires_at       timestamptz    NOT NULL,
    device_id        text,
    device_type      device_type    NOT NULL DEFAULT 'other',
    platform         text,
    user_agent       text,
    ip_address       inet,
    location_data    jsonb          NOT NULL DEFAULT '{}',
    is_persistent    boolean        NOT NULL DEFAULT false,
    status           session_status NOT NULL DEFAULT 'active',
    created_at       timestamptz    NOT NULL DEFAULT now(),
    last_activity_at timestamptz    NOT NULL DEFAULT now(),
    revoked_at       timestamptz,

    CONSTRAINT user_sessions_pkey PRIMARY KEY (id),
    CONSTRAINT user_sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT user_sessions_session_token_key UNIQUE (session_token),
    CONSTRAINT user_sessions_refresh_token_key UNIQUE (refresh_token),
    CONSTRAINT user_sessions_token_length CHECK (
        length(session_token) BETWEEN 32 AND 512 AND length(refresh_token) BETWEEN 32 AND 512
    ),
    CONSTRAINT user_sessions_tokens_differ CHECK (session_token <> refresh_token),
    CONSTRAINT user_sessions_expires_after_creation CHECK (expires_at > created_at),
    CONSTRAINT user_sessions_revoked_at_matches_status CHECK ((status = 'revoked') = (revoked_at IS NOT NULL)),
    CONSTRAINT user_sessions_location_data_is_object CHECK (jsonb_typeof(location_data) = 'object')
);

COMMENT ON TABLE user_sessions IS 'Sessions: one row per login and device. They go with their user.';
COMMENT ON COLUMN user_sessions.id IS 'Public identifier, safe to log; the tokens are not.';
COMMENT ON COLUMN user_sessions.user_id IS 'Owner of the session.';
COMMENT ON COLUMN user_sessions.session_token IS 'Bearer token of the session. Secret: never audited, in no view.';
COMMENT ON COLUMN user_sessions.refresh_token IS 'Token that renews the session; NULL: cannot be renewed. Secret: never audited, in no view.';
COMMENT ON COLUMN user_sessions.expires_at IS 'End of validity, whatever status says until expire_old_sessions() has run.';
COMMENT ON COLUMN user_sessions.device_id IS 'Identifier that the client chose for its device.';
COMMENT ON COLUMN user_sessions.device_type IS 'Class of the device.';
COMMENT ON COLUMN user_sessions.platform IS 'Operating system or runtime, as the client reports it.';
COMMENT ON COLUMN user_sessions.user_agent IS 'User-Agent header, as sent.';
COMMENT ON COLUMN user_sessions.ip_address IS 'Client address at login.';
COMMENT ON COLUMN user_sessions.location_data IS 'Object of what the address reveals: country, city, ...; {} if unknown.';
COMMENT ON COLUMN user_sessions.is_persistent IS 'Whether the user asked to stay signed in.';
COMMENT ON COLUMN user_sessions.status IS 'State; usable only if active and before expires_at.';
COMMENT ON COLUMN user_sessions.created_at IS 'Time of the login.';
COMMENT ON COLUMN user_sessions.last_activity_at IS 'Last request seen, written by the application.';
COMMENT ON COLUMN user_sessions.revoked_at IS 'Time of the revocation; set exactly if status is revoked.';
COMMENT ON CONSTRAINT user_sessions_pkey ON user_sessions IS 'One row per session.';
COMMENT ON CONSTRAINT user_sessions_user_id_fkey ON user_sessions IS 'Erasing a user ends the sessions.';
COMMENT ON CONSTRAINT user_sessions_session_token_key ON user_sessions IS 'A token names one session.';
COMMENT ON CONSTRAINT user_sessions_refresh_token_key ON user_sessions IS 'A token names one session.';
COMMENT ON CONSTRAINT user_sessions_token_length ON user_sessions IS
    '32 hexadecimal digits carry 128 bits, the least for a bearer token; the bound above keeps the index entry small.';
COMMENT ON CONSTRAINT user_sessions_tokens_differ ON user_sessions IS 'A stolen session token must not renew itself.';
COMMENT ON CONSTRAINT user_sessions_expires_after_creation ON user_sessions IS 'A session is usable for some time.';
COMMENT ON CONSTRAINT user_sessions_revoked_at_matches_status ON user_sessions IS 'Both are set in one statement.';
COMMENT ON CONSTRAINT user_sessions_location_data_is_object ON user_sessions IS 'Readers use its keys.';

CREATE INDEX user_sessions_user_id_idx ON user_sessions (user_id, status);
CREATE INDEX user_sessions_active_expires_at_idx ON user_sessions (expires_at) WHERE status = 'active';
CREATE INDEX user_sessions_device_id_idx ON user_sessions (device_id) WHERE device_id IS NOT NULL;

COMMENT ON INDEX user_sessions_pkey IS 'Behind the primary key.';
COMMENT ON INDEX user_sessions_session_token_key IS 'Look-up at every request.';
COMMENT ON INDEX user_sessions_refresh_token_key IS 'Look-up at renewal.';
COMMENT ON INDEX user_sessions_user_id_idx IS 'Sessions of a user; the cascade when a user is erased.';
COMMENT ON INDEX user_sessions_active_expires_at_idx IS 'Count of active sessions; expire_old_sessions().';
COMMENT ON INDEX user_sessions_device_id_idx IS 'Sessions of a device, across users.';


-- Audit trail ----------------------------------------------------------------------------------------

-- Keys are matched by pattern, not by name: a secret column added later is stripped as well.
CREATE FUNCTION audit_redact(p_values jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = public, pg_temp
AS $$
BEGIN
    RETURN p_values - ARRAY(
        SELECT key
        FROM jsonb_object_keys(p_values) AS key
        WHERE key ~* '(password|passwd|passphrase|token|secret|backup_code|recovery_code|private_key)'
    );
END
$$;
COMMENT ON FUNCTION audit_redact(jsonb) IS
    'The object without the top-level keys that look like secrets: passwords and hashes, tokens, MFA secrets and codes.';

-- No foreign keys: audit rows outlive the users and sessions that they name, with the ids intact.
CREATE TABLE audit_logs (
    id            bigint       NOT NULL GENERATED ALWAYS AS IDENTITY,
    user_id       uuid,
    session_id    uuid,
    ip_address    inet,
    action        audit_action NOT NULL,
    resource_type text         NOT NULL,
    resource_id   text,
    old_values    jsonb,
    new_values    jsonb,
    description   text,
    metadata      jsonb        NOT NULL DEFAULT '{}',
    request_id    text,
    created_at    timestamptz  NOT NULL DEFAULT now(),

    CONSTRAINT audit_logs_pkey PRIMARY KEY (id),
    CONSTRAINT audit_logs_resource_type_shape CHECK (resource_type ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT audit_logs_values_are_objects CHECK (
        jsonb_typeof(old_values) = 'object' AND jsonb_typeof(new_values) = 'object'
        AND jsonb_typeof(metadata) = 'object'
    ),
    CONSTRAINT audit_logs_without_secrets CHECK (
        old_values = audit_redact(old_values) AND new_values = audit_redact(new_values)
        AND metadata = audit_redact(metadata)
    )
);

COMMENT ON TABLE audit_logs IS 'Append-only record of who did what to which resource; pruned by cleanup_old_audit_logs().';
COMMENT ON COLUMN audit_logs.id IS 'Order of recording.';
COMMENT ON COLUMN audit_logs.user_id IS 'Actor: the signed-in user; NULL: unknown, not signed in, or the system. Kept after the user is erased.';
COMMENT ON COLUMN audit_logs.session_id IS 'Session of the actor; NULL: unknown. Kept after the session is removed.';
COMMENT ON COLUMN audit_logs.ip_address IS 'Client address of the request; NULL: unknown.';
COMMENT ON COLUMN audit_logs.action IS 'What happened.';
COMMENT ON COLUMN audit_logs.resource_type IS 'Kind of thing it happened to, in the singular: user, user_session, ...';
COMMENT ON COLUMN audit_logs.resource_id IS 'Primary key of that thing, as text; NULL: none, e.g. a login to an unknown account.';
COMMENT ON COLUMN audit_logs.old_values IS 'Changed columns before (update) or the whole row (delete), without secrets.';
COMMENT ON COLUMN audit_logs.new_values IS 'Changed columns after (update) or the whole row (create), without secrets.';
COMMENT ON COLUMN audit_logs.description IS 'Sentence for people.';
COMMENT ON COLUMN audit_logs.metadata IS 'Object with context: db_user, changed (names of changed columns, secrets included), ...';
COMMENT ON COLUMN audit_logs.request_id IS 'Correlation id of the request, from app.request_id.';
COMMENT ON COLUMN audit_logs.created_at IS 'Start of the transaction that did it.';
COMMENT ON CONSTRAINT audit_logs_pkey ON audit_logs IS 'One row per event.';
COMMENT ON CONSTRAINT audit_logs_resource_type_shape ON audit_logs IS 'Lower case, so that filters match.';
COMMENT ON CONSTRAINT audit_logs_values_are_objects ON audit_logs IS 'Column names to values.';
COMMENT ON CONSTRAINT audit_logs_without_secrets ON audit_logs IS
    'Refuses secrets even from a writer that bypasses log_audit_event().';

CREATE INDEX audit_logs_created_at_idx ON audit_logs (created_at);
CREATE INDEX audit_logs_user_id_idx ON audit_logs (user_id, created_at) WHERE user_id IS NOT NULL;
CREATE INDEX audit_logs_resource_idx ON audit_logs (resource_type, resource_id, created_at);
CREATE INDEX audit_logs_action_idx ON audit_logs (action, created_at);
CREATE INDEX audit_logs_request_id_idx ON audit_logs (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX audit_logs_failed_login_ip_idx ON audit_logs (ip_address, created_at) WHERE action = 'login_failed';

COMMENT ON INDEX audit_logs_pkey IS 'Behind the primary key.';
COMMENT ON INDEX audit_logs_created_at_idx IS 'Recent events; retention.';
COMMENT ON INDEX audit_logs_user_id_idx IS 'What a user did.';
COMMENT ON INDEX audit_logs_resource_idx IS 'What happened to a user, a session, ...';
COMMENT ON INDEX audit_logs_action_idx IS 'Events of one kind in a period.';
COMMENT ON INDEX audit_logs_request_id_idx IS 'Everything that one request did.';
COMMENT ON INDEX audit_logs_failed_login_ip_idx IS 'Failed logins of an address: password guessing.';

CREATE FUNCTION app_setting(p_name text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = public, pg_temp
AS $$
BEGIN
    RETURN nullif(current_setting('app.' || p_name, true), '');
END
$$;
COMMENT ON FUNCTION app_setting(text) IS 'Value of the session setting app.<name>; NULL if unset or empty.';

CREATE FUNCTION log_audit_event(
    p_action        audit_action,
    p_resource_type text,
    p_resource_id   text,
    p_description   text  DEFAULT NULL,
    p_old_values    jsonb DEFAULT NULL,
    p_new_values    jsonb DEFAULT NULL,
    p_metadata      jsonb DEFAULT '{}',
    p_user_id       uuid  DEFAULT NULL,
    p_session_id    uuid  DEFAULT NULL,
    p_ip_address    inet  DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = public, pg_temp
AS $$
DECLARE
    v_id bigint;
BEGIN
    INSERT INTO audit_logs (
        user_id, session_id, ip_address, action, resource_type, resource_id,
        old_values, new_values, description, metadata, request_id
    ) VALUES (
        coalesce(p_user_id, app_setting('current_user_id')::uuid),
        coalesce(p_session_id, app_setting('current_session_id')::uuid),
        coalesce(p_ip_address, app_setting('client_ip')::inet),
        p_action, p_resource_type, p_resource_id,
        audit_redact(p_old_values), audit_redact(p_new_values), p_description,
        audit_redact(coalesce(p_metadata, '{}') || jsonb_build_object('db_user', session_user)),
        app_setting('request_id')
    )
    RETURNING id INTO v_id;
    RETURN v_id;
END
$$;
COMMENT ON FUNCTION log_audit_event(audit_action, text, text, text, jsonb, jsonb, jsonb, uuid, uuid, inet) IS
    'Writes one audit row, without secrets, and returns its id. Actor, session, address and request come from the app.* settings unless given.';

CREATE FUNCTION audit_action_of_change(p_resource_type text, p_column text, p_old jsonb, p_new jsonb)
    RETURNS audit_action
    LANGUAGE plpgsql STABLE
    SET search_path = public, pg_temp
AS $$
BEGIN
    RETURN CASE p_resource_type
        WHEN 'user' THEN CASE
            WHEN p_column = 'deleted_at' AND p_old ->> 'deleted_at' IS NULL THEN 'delete'
            WHEN p_column = 'deleted_at' AND p_new ->> 'deleted_at' IS NULL THEN 'restore'
            WHEN p_column = 'password_hash' THEN 'password_changed'
            WHEN p_column = 'mfa_enabled' THEN
                CASE WHEN (p_new ->> 'mfa_enabled')::boolean THEN 'mfa_enabled' ELSE 'mfa_disabled' END
            WHEN p_column = 'email_verified' AND (p_new ->> 'email_verified')::boolean THEN 'email_verified'
            WHEN p_column = 'failed_login_attempts' AND (p_new ->> 'failed_login_attempts')::integer > 0
                THEN 'login_failed'
            WHEN p_column = 'account_locked_until' AND (p_new ->> 'account_locked_until')::timestamptz > now()
                THEN 'account_locked'
            WHEN p_column = 'account_locked_until' AND (p_old ->> 'account_locked_until')::timestamptz > now()
                THEN 'account_unlocked'
            -- A login also clears the counters of the failures before it.
            WHEN p_column IN ('last_login_at', 'last_login_ip', 'failed_login_attempts', 'account_locked_until')
                 AND p_new ->> 'last_login_at' IS DISTINCT FROM p_old ->> 'last_login_at'
                 AND p_new ->> 'last_login_at' IS NOT NULL
                THEN 'login'
            ELSE 'update'
        END
        WHEN 'user_session' THEN CASE p_new ->> 'status'
            WHEN 'expired' THEN 'session_expired'
            WHEN 'revoked' THEN 'session_revoked'
            ELSE 'update'
        END
        ELSE 'update'
    END::audit_action;
END
$$;
COMMENT ON FUNCTION audit_action_of_change(text, text, jsonb, jsonb) IS
    'What the change of one column of a row means: old and new are the whole row as JSON.';

-- Arguments of the trigger: resource type, name of the primary key column.
CREATE FUNCTION audit_row_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    v_resource_type CONSTANT text := TG_ARGV[0];
    v_key_column    CONSTANT text := TG_ARGV[1];
    v_old           jsonb;
    v_new           jsonb;
    v_actor         uuid := app_setting('current_user_id')::uuid;
    v_subject       uuid;
BEGIN
    IF TG_OP = 'INSERT' THEN
        v_new := jsonb_strip_nulls(to_jsonb(NEW));
        -- Without a known actor, a session was opened by its user.
        IF v_resource_type = 'user_session' THEN
            v_subject := (v_new ->> 'user_id')::uuid;
        END IF;
        PERFORM log_audit_event(
            'create', v_resource_type, v_new ->> v_key_column,
            format('%s created', v_resource_type),
            NULL, v_new, '{}',
            coalesce(v_actor, v_subject),
            CASE WHEN v_resource_type = 'user_session' THEN (v_new ->> 'id')::uuid END,
            CASE WHEN v_resource_type = 'user_session' THEN (v_new ->> 'ip_address')::inet END
        );

    ELSIF TG_OP = 'DELETE' THEN
        v_old := jsonb_strip_nulls(to_jsonb(OLD));
        PERFORM log_audit_event(
            'delete', v_resource_type, v_old ->> v_key_column,
            format('%s removed', v_resource_type),
            v_old, NULL, '{}', v_actor
        );

    ELSE
        v_old := to_jsonb(OLD);
        v_new := to_jsonb(NEW);
        IF v_resource_type = 'user' THEN
            v_subject := (v_new ->> 'id')::uuid;
        END IF;
        -- One statement may do several things, e.g. a failed login that also locks: one audit row for each.
        PERFORM log_audit_event(
            change.action, v_resource_type, v_new ->> v_key_column,
            format('%s: %s', v_resource_type, string_agg(change.name, ', ' ORDER BY change.name)),
            jsonb_object_agg(change.name, change.old_value),
            jsonb_object_agg(change.name, change.new_value),
            jsonb_build_object('changed', jsonb_agg(change.name ORDER BY change.name)),
            -- Nobody is signed in during a login: the actor is the user who signs in.
            CASE WHEN change.action = 'login' THEN coalesce(v_actor, v_subject) ELSE v_actor END,
            NULL,
            CASE WHEN change.action = 'login' THEN (v_new ->> 'last_login_ip')::inet END
        )
        FROM (
            SELECT n.key AS name, o.value AS old_value, n.value AS new_value,
                   audit_action_of_change(v_resource_type, n.key, v_old, v_new) AS action
            FROM jsonb_each(v_new) AS n
            JOIN jsonb_each(v_old) AS o ON o.key = n.key
            WHERE n.value IS DISTINCT FROM o.value AND n.key <> 'updated_at'
        ) AS change
        GROUP BY change.action
        ORDER BY change.action;
    END IF;

    RETURN NULL;
END
$$;
COMMENT ON FUNCTION audit_row_change() IS
    'Trigger: records the insert, change or removal of a row in audit_logs. Arguments: resource type, key column.';

CREATE FUNCTION refuse_audit_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'audit_logs is append-only: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Rows older than 30 days can be removed with cleanup_old_audit_logs().';
END
$$;
COMMENT ON FUNCTION refuse_audit_change() IS 'Trigger: raises. Guards the audit trail against accidents, not against its owner.';


-- Passwords ------------------------------------------------------------------------------------------

CREATE FUNCTION hash_password(p_password text, p_cost integer DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = public, pg_temp
AS $$
DECLARE
    v_cost integer := coalesce(p_cost, (SELECT bcrypt_cost FROM auth_settings));
BEGIN
    IF coalesce(p_password, '') = '' THEN
        RAISE EXCEPTION 'the password is empty' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- bcrypt ignores what follows byte 72: two long passwords could match each other.
    IF octet_length(p_password) > 72 THEN
        RAISE EXCEPTION 'the password is longer than 72 bytes, the most that bcrypt reads'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF v_cost IS NULL OR v_cost NOT BETWEEN 10 AND 15 THEN
        RAISE EXCEPTION 'bcrypt cost % is not between 10 and 15', coalesce(v_cost::text, '(none in auth_settings)')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN crypt(p_password, gen_salt('bf', v_cost));
END
$$;
COMMENT ON FUNCTION hash_password(text, integer) IS
    'bcrypt hash of a password of 1 to 72 bytes, at the given cost or else auth_settings.bcrypt_cost. The password travels in the statement: keep log_statement and log_min_duration_statement off for it.';

CREATE FUNCTION verify_password(p_password text, p_password_hash text) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = public, pg_temp
AS $$
DECLARE
    -- pgcrypto knows the bcrypt variants of other libraries, 2b and 2y, only as 2a.
    v_hash CONSTANT text := regexp_replace(p_password_hash, '^\$2[by]\$', '$2a$');
BEGIN
    IF p_password IS NULL OR octet_length(p_password) > 72
       OR v_hash IS NULL OR v_hash !~ '^\$2a\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}$' THEN
        RETURN false;
    END IF;
    RETURN crypt(p_password, v_hash) = v_hash;
END
$$;
COMMENT ON FUNCTION verify_password(text, text) IS
    'Whether the password belongs to the bcrypt hash; false, never an error, for NULL or a malformed hash.';


-- Logins and locks -----------------------------------------------------------------------------------

CREATE FUNCTION record_failed_login(
    p_email        text,
    p_ip_address   inet DEFAULT NULL,
    OUT failed_attempts integer,
    OUT locked_until    timestamptz
)
    LANGUAGE plpgsql VOLATILE
    SET search_path = public, pg_temp
AS $$
DECLARE
    v_settings  auth_settings%ROWTYPE;
    v_user_id   uuid;
    v_client_ip text := current_setting('app.client_ip', true);
BEGIN
    SELECT * INTO STRICT v_settings FROM auth_settings;

    -- The audit trigger reads the address from the setting; the caller's value is put back below.
    IF p_ip_address IS NOT NULL THEN
        PERFORM set_config('app.client_ip', p_ip_address::text, true);
    END IF;

    -- One statement, so that parallel guesses are all counted. A lock that ran out starts a new count.
    UPDATE users AS u
    SET failed_login_attempts = next.attempts,
        account_locked_until = CASE
            WHEN next.attempts >= v_settings.max_failed_login_attempts
            THEN now() + make_interval(mins => v_settings.account_lock_minutes)
        END
    FROM (
        SELECT id,
               CASE
                   WHEN account_locked_until IS NOT NULL
                        AND failed_login_attempts >= v_settings.max_failed_login_attempts
                   THEN 1
                   ELSE failed_login_attempts + 1
               END AS attempts
        FROM users
        WHERE lower(email) = lower(p_email)
          AND deleted_at IS NULL
          AND (account_locked_until IS NULL OR account_locked_until <= now())
        FOR UPDATE
    ) AS next
    WHERE u.id = next.id
    RETURNING u.failed_login_attempts, u.account_locked_until INTO failed_attempts, locked_until;

    -- Attempts on a locked or unknown account change no row, but are evidence. The address is not
    -- recorded: people type their password into the wrong field.
    IF NOT FOUND THEN
        SELECT id, failed_login_attempts, account_locked_until
        INTO v_user_id, failed_attempts, locked_until
        FROM users
        WHERE lower(email) = lower(p_email) AND deleted_at IS NULL;

        PERFORM log_audit_event(
            'login_failed', 'user', v_user_id::text,
            CASE WHEN v_user_id IS NULL THEN 'login to an unknown account' ELSE 'login to a locked account' END
        );
    END IF;

    IF p_ip_address IS NOT NULL THEN
        PERFORM set_config('app.client_ip', coalesce(v_client_ip, ''), true);
    END IF;
END
$$;
COMMENT ON FUNCTION record_failed_login(text, inet) IS
    'Counts a failed login and locks the account at auth_settings.max_failed_login_attempts. A locked account is neither counted nor locked for longer, so that nobody can be kept out for ever. Returns the count and the end of the lock; NULLs if there is no such account.';

CREATE FUNCTION record_successful_login(p_user_id uuid, p_ip_address inet DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE users
    SET failed_login_attempts = 0,
        account_locked_until = NULL,
        last_login_at = now(),
        last_login_ip = coalesce(p_ip_address, app_setting('client_ip')::inet)
    WHERE id = p_user_id
      AND deleted_at IS NULL
      AND (account_locked_until IS NULL OR account_locked_until <= now());
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION record_successful_login(uuid, inet) IS
    'Records a login and clears the failures before it. False, and no change: the account is locked, deleted or unknown, and the login must be refused.';

CREATE FUNCTION lock_user_account(p_email text, p_minutes integer) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = public, pg_temp
AS $$
BEGIN
    IF p_minutes IS NULL OR p_minutes NOT BETWEEN 1 AND 525600 THEN
        RAISE EXCEPTION 'cannot lock an account for % minutes: the range is 1 to 525600 (one year)',
            coalesce(p_minutes::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- GREATEST: a second lock never shortens the first.
    UPDATE users
    SET account_locked_until = greatest(account_locked_until, now() + make_interval(mins => p_minutes))
    WHERE lower(email) = lower(p_email) AND deleted_at IS NULL;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION lock_user_account(text, integer) IS
    'Refuses logins to the account for some minutes (1 to 525600); its sessions stay. False: no such account.';

CREATE FUNCTION unlock_user_account(p_email text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE users
    SET account_locked_until = NULL, failed_login_attempts = 0
    WHERE lower(email) = lower(p_email) AND deleted_at IS NULL;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION unlock_user_account(text) IS
    'Ends the lock of an account and clears its failed logins. False: no such account.';


-- Maintenance ----------------------------------------------------------------------------------------

CREATE FUNCTION expire_old_sessions() RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = public, pg_temp
AS $$
DECLARE
    v_expired bigint;
BEGIN
    UPDATE user_sessions SET status = 'expired' WHERE status = 'active' AND expires_at <= now();
    GET DIAGNOSTICS v_expired = ROW_COUNT;
    RETURN v_expired;
END
$$;
COMMENT ON FUNCTION expire_old_sessions() IS
    'Marks active sessions past expires_at as expired and returns how many. Run it every few minutes.';

CREATE FUNCTION cleanup_old_audit_logs(p_days integer DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = public, pg_temp
AS $$
DECLARE
    v_days    integer := coalesce(p_days, (SELECT audit_retention_days FROM auth_settings));
    v_deleted bigint;
BEGIN
    IF v_days IS NULL OR v_days NOT BETWEEN 30 AND 36500 THEN
        RAISE EXCEPTION 'cannot keep audit rows for % days: the range is 30 to 36500',
            coalesce(v_days::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    DELETE FROM audit_logs WHERE created_at < now() - make_interval(days => v_days);
    GET DIAGNOSTICS v_deleted = ROW_COUNT;

    IF v_deleted > 0 THEN
        PERFORM log_audit_event(
            'retention_cleanup', 'audit_log', NULL,
            format('%s rows older than %s days removed', v_deleted, v_days),
            NULL, NULL, jsonb_build_object('days', v_days, 'deleted', v_deleted)
        );
    END IF;
    RETURN v_deleted;
END
$$;
COMMENT ON FUNCTION cleanup_old_audit_logs(integer) IS
    'Deletes audit rows older than some days (30 to 36500, else an error) or than auth_settings.audit_retention_days, and returns how many. The removal is itself audited.';


-- Triggers -------------------------------------------------------------------------------------------

CREATE FUNCTION set_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION set_updated_at() IS 'Trigger: sets updated_at to the time of the transaction.';

CREATE FUNCTION revoke_sessions_of_deleted_user() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE user_sessions SET status = 'revoked', revoked_at = now()
    WHERE user_id = NEW.id AND status = 'active';
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION revoke_sessions_of_deleted_user() IS 'Trigger: ends the active sessions of a soft-deleted user.';

CREATE TRIGGER auth_settings_set_updated_at
    BEFORE UPDATE ON auth_settings
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER auth_settings_audit
    AFTER INSERT OR UPDATE OR DELETE ON auth_settings
    FOR EACH ROW EXECUTE FUNCTION audit_row_change('auth_settings', 'singleton');

CREATE TRIGGER users_set_updated_at
    BEFORE UPDATE ON users
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER users_audit
    AFTER INSERT OR UPDATE OR DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION audit_row_change('user', 'id');
CREATE TRIGGER users_revoke_sessions
    AFTER UPDATE OF deleted_at ON users
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
    EXECUTE FUNCTION revoke_sessions_of_deleted_user();

CREATE TRIGGER user_sessions_audit
    AFTER INSERT OR DELETE ON user_sessions
    FOR EACH ROW EXECUTE FUNCTION audit_row_change('user_session', 'id');
-- Only changes of status: last_activity_at changes at every request.
CREATE TRIGGER user_sessions_audit_status
    AFTER UPDATE OF status ON user_sessions
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION audit_row_change('user_session', 'id');

CREATE TRIGGER audit_logs_append_only
    BEFORE UPDATE OR TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_logs_protect_recent
    BEFORE DELETE ON audit_logs
    FOR EACH ROW WHEN (OLD.created_at > now() - interval '30 days')
    EXECUTE FUNCTION refuse_audit_change();

COMMENT ON TRIGGER auth_settings_set_updated_at ON auth_settings IS 'Keeps updated_at.';
COMMENT ON TRIGGER auth_settings_audit ON auth_settings IS 'A change of policy is evidence.';
COMMENT ON TRIGGER users_set_updated_at ON users IS 'Keeps updated_at; an update that changes nothing leaves it alone.';
COMMENT ON TRIGGER users_audit ON users IS 'Records every change of an account.';
COMMENT ON TRIGGER users_revoke_sessions ON users IS 'A deleted account must not stay signed in.';
COMMENT ON TRIGGER user_sessions_audit ON user_sessions IS 'Records the start and the removal of a session.';
COMMENT ON TRIGGER user_sessions_audit_status ON user_sessions IS 'Records the end of a session.';
COMMENT ON TRIGGER audit_logs_append_only ON audit_logs IS 'History is not rewritten.';
COMMENT ON TRIGGER audit_logs_protect_recent ON audit_logs IS 'Rows of the last 30 days cannot be deleted.';


-- Views ----------------------------------------------------------------------------------------------

-- The views name their columns, without secrets, so that they can be granted to support staff. They leave
-- out users.phone too: a view would block a later change of its type.
CREATE VIEW active_users AS
SELECT id, email, username, first_name, last_name, email_verified, mfa_enabled, mfa_method,
       failed_login_attempts, account_locked_until,
       coalesce(account_locked_until > now(), false) AS is_locked,
       created_at, updated_at, last_login_at, last_login_ip
FROM users
WHERE deleted_at IS NULL;
COMMENT ON VIEW active_users IS 'Accounts that are not deleted, locked ones included, without secrets.';
COMMENT ON COLUMN active_users.is_locked IS 'Whether logins are refused now.';

CREATE VIEW active_sessions_with_users AS
SELECT s.id AS session_id, s.user_id, u.email, u.username,
       s.device_id, s.device_type, s.platform, s.user_agent, s.ip_address, s.location_data,
       s.is_persistent, s.created_at, s.last_activity_at, s.expires_at
FROM user_sessions AS s
JOIN users AS u ON u.id = s.user_id
WHERE s.status = 'active' AND s.expires_at > now() AND u.deleted_at IS NULL;
COMMENT ON VIEW active_sessions_with_users IS 'Sessions that can be used now, with their users, without tokens.';

CREATE VIEW recent_audit_events AS
SELECT a.id, a.created_at, a.action, a.resource_type, a.resource_id, a.description,
       a.user_id, u.email AS user_email, a.session_id, a.ip_address,
       a.old_values, a.new_values, a.metadata, a.request_id
FROM audit_logs AS a
LEFT JOIN users AS u ON u.id = a.user_id
WHERE a.created_at > now() - interval '7 days';
COMMENT ON VIEW recent_audit_events IS 'Audit rows of the last 7 days with the address of the actor; sort by created_at or id.';
COMMENT ON COLUMN recent_audit_events.user_email IS 'Present address of the actor; NULL: no actor, or erased since.';


-- Default data ---------------------------------------------------------------------------------------

-- No default account: a password in a migration is a password that everyone knows.
INSERT INTO auth_settings DEFAULT VALUES;
