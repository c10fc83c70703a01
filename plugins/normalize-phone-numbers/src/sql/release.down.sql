LOCK TABLE users IN ACCESS EXCLUSIVE MODE;

ALTER TABLE users DROP CONSTRAINT users_phone_is_e164;

-- The comment of migration 001.
COMMENT ON COLUMN users.phone IS 'Phone number as the user typed it: free text, may be blank, in any notation.';
