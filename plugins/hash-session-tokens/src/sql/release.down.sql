LOCK TABLE user_sessions IN ACCESS EXCLUSIVE MODE;

DROP TRIGGER user_sessions_digest_tokens ON user_sessions;
DROP FUNCTION digest_session_tokens();
-- Not there when up was cut off before it.
ALTER TABLE user_sessions DROP CONSTRAINT IF EXISTS user_sessions_tokens_are_digests;

-- What migration 001 says of the columns.
ALTER TABLE user_sessions
    ALTER COLUMN session_token SET DEFAULT encode(gen_random_bytes(32), 'hex'),
    ALTER COLUMN refresh_token SET DEFAULT encode(gen_random_bytes(32), 'hex');
COMMENT ON COLUMN user_sessions.session_token IS 'Bearer token of the session. Secret: never audited, in no view.';
COMMENT ON COLUMN user_sessions.refresh_token IS 'Token that renews the session; NULL: cannot be renewed. Secret: never audited, in no view.';
