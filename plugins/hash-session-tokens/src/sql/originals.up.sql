CREATE TABLE user_sessions_token_originals (
    session_id    uuid NOT NULL,
    session_token text,
    refresh_token text,

    CONSTRAINT user_sessions_token_originals_pkey PRIMARY KEY (session_id),
    CONSTRAINT user_sessions_token_originals_session_id_fkey FOREIGN KEY (session_id) REFERENCES user_sessions (id) ON DELETE CASCADE
);

COMMENT ON TABLE user_sessions_token_originals IS
    'What user_sessions held before migration 004, for its down. Secret: as good as passwords. Drop it once there is no way back to go.';
COMMENT ON COLUMN user_sessions_token_originals.session_id IS 'Session whose tokens these were; the row goes with the session.';
COMMENT ON COLUMN user_sessions_token_originals.session_token IS 'Bearer token; NULL: it was a digest when the migration came to it.';
COMMENT ON COLUMN user_sessions_token_originals.refresh_token IS 'Token that renews; NULL: none, or as with session_token.';
COMMENT ON CONSTRAINT user_sessions_token_originals_pkey ON user_sessions_token_originals IS 'One row per session.';
COMMENT ON CONSTRAINT user_sessions_token_originals_session_id_fkey ON user_sessions_token_originals IS
    'The end of a session is the end of its secrets.';
COMMENT ON INDEX user_sessions_token_originals_pkey IS 'Behind the primary key.';
