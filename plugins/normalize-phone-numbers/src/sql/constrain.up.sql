-- Only now: one join checks all rows, where a trigger would have checked each.
ALTER TABLE users_phone_originals ADD CONSTRAINT users_phone_originals_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;
COMMENT ON CONSTRAINT users_phone_originals_user_id_fkey ON users_phone_originals IS
    'Erasing a user erases the original number.';

ALTER TABLE users ADD CONSTRAINT users_phone_is_e164 CHECK (phone ~ '^\+[1-9][0-9]{1,14}$');
COMMENT ON CONSTRAINT users_phone_is_e164 ON users IS
    'E.164: a plus and at most 15 digits, the first no zero. Whether the number exists only a call or a message proves.';
COMMENT ON COLUMN users.phone IS 'Phone number in E.164, such as +14155552671; NULL: unknown.';
