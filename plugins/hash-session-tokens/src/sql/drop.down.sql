DROP TABLE user_sessions_token_originals;
DROP FUNCTION session_token_digest(text);
