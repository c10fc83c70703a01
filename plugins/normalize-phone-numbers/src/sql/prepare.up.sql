-- From the start in the mode that the constraint needs at the end: raising a lock half-way deadlocks with those
-- who have read the table and wait to write it. Nobody writes a number between its reading and the constraint.
LOCK TABLE users IN ACCESS EXCLUSIVE MODE;

CREATE TABLE users_phone_originals (
    user_id uuid NOT NULL,
    phone   text NOT NULL,
    e164    text,

    CONSTRAINT users_phone_originals_pkey PRIMARY KEY (user_id)
);

COMMENT ON TABLE users_phone_originals IS
    'What users.phone held before migration 003, where that was not E.164. For its down, and for the extensions, which E.164 cannot hold. Personal data.';
COMMENT ON COLUMN users_phone_originals.user_id IS 'User whose phone number it was; the row goes with the user.';
COMMENT ON COLUMN users_phone_originals.phone IS 'Text as the user typed it.';
COMMENT ON COLUMN users_phone_originals.e164 IS
    'What migration 003 wrote instead; NULL for a blank text. If users.phone differs, it was changed since.';
COMMENT ON CONSTRAINT users_phone_originals_pkey ON users_phone_originals IS 'One original per user.';
COMMENT ON INDEX users_phone_originals_pkey IS 'Behind the primary key.';
