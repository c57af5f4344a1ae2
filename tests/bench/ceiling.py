"""What Postgres alone writes of the rows the engine settled: the ceiling of a settlement.

The rows of a catch-up, as many in a transaction as the engine had in a settlement, go by binary COPY
into a temporary table and from there into tables of the same columns and keys; as many of them a second
time, onto rows that are there, as the engine had updates.  Nothing is checked, and making the rows ready
is not timed.
"""

import io
import time

import psycopg2

from tests.lib.postgres import query

ROWS = 400_000  # of both tables; more say nothing new
KEYS = {"tenant_fact": "tenant, project, feature, provider, model, hour, period",
        "key_fact": "tenant, key, hour, period"}


def written(database):
    """Rows the engine inserted and updated, and in how many settlements."""
    inserted, updated = query(database, """
        SELECT sum(n_tup_ins)::bigint, sum(n_tup_upd)::bigint FROM pg_stat_user_tables
        WHERE schemaname = 'tripmeter' AND relname NOT IN ('tenant_version', 'policy', 'command')""")[0]
    settlements = query(database, "SELECT sum(settle_seq)::bigint FROM tripmeter.shard")[0][0]
    return {"inserted": inserted, "updated": updated, "settlements": settlements}


def prepare(cursor, table, chunks):
    """Makes the empty copy; the chunks of rows as COPY wants them, and the statement behind it."""
    cursor.execute(f"""
        CREATE TABLE ceiling.{table} (LIKE tripmeter.{table} INCLUDING ALL);
        CREATE TEMP TABLE {table}_in (LIKE tripmeter.{table}) ON COMMIT DELETE ROWS;
        SELECT attname FROM pg_attribute
        WHERE attrelid = 'tripmeter.{table}'::regclass AND attnum > 0 AND NOT attisdropped""")
    columns = [row[0] for row in cursor.fetchall()]
    cursor.execute(f"""
        CREATE TABLE ceiling.{table}_rows AS
        SELECT ntile({chunks}) OVER (ORDER BY hour, hashtext(tenant)) AS chunk, f.*
        FROM (SELECT * FROM tripmeter.{table} LIMIT {ROWS // len(KEYS)}) f;
        CREATE INDEX ON ceiling.{table}_rows (chunk)""")
    out = []
    for chunk in range(1, chunks + 1):
        rows = io.BytesIO()
        cursor.copy_expert(f"""COPY (SELECT {', '.join(columns)} FROM ceiling.{table}_rows
                               WHERE chunk = {chunk} ORDER BY {KEYS[table]}) TO STDOUT (FORMAT binary)""",
                           rows)
        out.append(rows.getvalue())
    sums = ", ".join(f"{name} = t.{name} + excluded.{name}" for name in columns
                     if name not in KEYS[table].split(", "))
    return out, (f"INSERT INTO ceiling.{table} AS t SELECT * FROM {table}_in "
                 f"ON CONFLICT ({KEYS[table]}) DO UPDATE SET {sums}")


def rows_per_s(database, counts):
    """counts: of written()."""
    connection = psycopg2.connect(database)
    cursor = connection.cursor()
    cursor.execute("CREATE SCHEMA ceiling")
    cursor.execute("""SELECT (SELECT count(*) FROM tripmeter.tenant_fact)
                             + (SELECT count(*) FROM tripmeter.key_fact)""")
    have = min(cursor.fetchone()[0], ROWS)
    each = max(1, (counts["inserted"] + counts["updated"]) // counts["settlements"])
    chunks = max(1, have // each)
    ready = {table: prepare(cursor, table, chunks) for table in KEYS}
    connection.commit()
    again = min(chunks, round(chunks * counts["updated"] / counts["inserted"]))
    rows = 0
    began = time.monotonic()
    for chunk in [*range(chunks), *range(again)]:
        for table, (copies, statement) in ready.items():
            cursor.copy_expert(f"COPY {table}_in FROM STDIN (FORMAT binary)", io.BytesIO(copies[chunk]))
            cursor.execute(statement)
            rows += cursor.rowcount
        connection.commit()
    took = time.monotonic() - began
    cursor.execute("DROP SCHEMA ceiling CASCADE")
    connection.commit()
    connection.close()
    return {"rows_per_s": rows / took, "rows": rows, "rows_each": rows / (chunks + again)}
