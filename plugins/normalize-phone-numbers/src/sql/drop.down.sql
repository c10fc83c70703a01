DROP TABLE users_phone_originals;
