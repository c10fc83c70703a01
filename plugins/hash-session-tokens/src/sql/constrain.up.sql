-- Without a look at the rows, which would keep everybody from the table: that is for the next step.
ALTER TABLE user_sessions ADD CONSTRAINT user_sessions_tokens_are_digests CHECK (
    session_token ~ '^sha256:[0-9a-f]{64}$' AND refresh_token ~ '^sha256:[0-9a-f]{64}$'
) NOT VALID;
COMMENT ON CONSTRAINT user_sessions_tokens_are_digests ON user_sessions IS 'Who reads the table cannot act for its users.';
