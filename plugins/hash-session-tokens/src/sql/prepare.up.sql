LOCK TABLE user_sessions IN ACCESS EXCLUSIVE MODE;

CREATE FUNCTION session_token_digest(p_token text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = public, pg_temp
AS $$
    SELECT 'sha256:' || encode(sha256(convert_to(p_token, 'UTF8')), 'hex')
$$;
COMMENT ON FUNCTION session_token_digest(text) IS
    'What user_sessions stores of a token: compare it with that of the token presented, and never with a text that a client sent.';

CREATE FUNCTION digest_session_tokens() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    c_digest CONSTANT text := '^sha256:[0-9a-f]{64}$';
BEGIN
    IF NEW.session_token !~ c_digest THEN
        IF length(NEW.session_token) NOT BETWEEN 32 AND 512 THEN
            RAISE check_violation USING MESSAGE = 'a session token has 32 to 512 characters',
                TABLE = 'user_sessions', COLUMN = 'session_token', CONSTRAINT = 'user_sessions_token_length';
        END IF;
        NEW.session_token := session_token_digest(NEW.session_token);
    END IF;
    IF NEW.refresh_token !~ c_digest THEN
        IF length(NEW.refresh_token) NOT BETWEEN 32 AND 512 THEN
            RAISE check_violation USING MESSAGE = 'a refresh token has 32 to 512 characters',
                TABLE = 'user_sessions', COLUMN = 'refresh_token', CONSTRAINT = 'user_sessions_token_length';
        END IF;
        NEW.refresh_token := session_token_digest(NEW.refresh_token);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION digest_session_tokens() IS 'Trigger: stores the digest of a token that is written in plain text.';

CREATE TRIGGER user_sessions_digest_tokens
    BEFORE INSERT OR UPDATE OF session_token, refresh_token ON user_sessions
    FOR EACH ROW EXECUTE FUNCTION digest_session_tokens();
COMMENT ON TRIGGER user_sessions_digest_tokens ON user_sessions IS 'No token reaches the table in plain text.';

-- The database would make a token of which nobody ever learns more than the digest.
ALTER TABLE user_sessions ALTER COLUMN session_token DROP DEFAULT, ALTER COLUMN refresh_token DROP DEFAULT;

COMMENT ON COLUMN user_sessions.session_token IS
    'session_token_digest() of the bearer token, which only the client keeps. Never audited, in no view.';
COMMENT ON COLUMN user_sessions.refresh_token IS
    'session_token_digest() of the token that renews the session; NULL: cannot be renewed. Never audited, in no view.';
