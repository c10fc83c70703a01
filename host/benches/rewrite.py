"""Makes the names of `accounts` upper-case as the guest of the benchmark does, and prints the seconds from BEGIN to COMMIT.

The database is what libpq's environment variables name.
"""

import time

import psycopg

BATCH_ROWS = 10_000
UPDATE = """
    UPDATE accounts SET name = new.name FROM unnest(%s::int[], %s::text[]) AS new (id, name)
    WHERE accounts.id = new.id
"""

with psycopg.connect() as connection:
    begin = time.perf_counter()
    with connection.transaction():
        with connection.cursor("accounts") as reader, connection.cursor() as writer:
            reader.execute("SELECT id, name FROM accounts ORDER BY id")
            while rows := reader.fetchmany(BATCH_ROWS):
                ids = [row[0] for row in rows]
                names = [row[1].upper() for row in rows]
                writer.execute(UPDATE, (ids, names))
    print(time.perf_counter() - begin)
