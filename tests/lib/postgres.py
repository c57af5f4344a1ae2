"""A private PostgreSQL cluster, tests/env/postgres.sh."""

import itertools

import psycopg2

from tests.lib.server import read_env, script


class Postgres:
    def __init__(self, directory, fast=False):
        self.directory = directory
        self.numbers = itertools.count(1)
        script("postgres.sh", "start", directory, **({"FAST": "1"} if fast else {}))
        env = read_env(directory)
        self.uri = env["postgres"]
        self.port = int(env["port"])

    def start(self):
        script("postgres.sh", "start", self.directory)

    def stop(self):
        script("postgres.sh", "stop", self.directory)

    def immediate(self):
        """As after a crash; start() follows."""
        script("postgres.sh", "immediate", self.directory)

    def restart(self):
        script("postgres.sh", "restart", self.directory)

    def destroy(self):
        script("postgres.sh", "destroy", self.directory)

    def create_database(self):
        """A new, empty database; its connection string."""
        name = f"test_{next(self.numbers)}"
        query(self.uri, f"CREATE DATABASE {name}")
        return self.uri.rsplit("/", 1)[0] + "/" + name


def query(uri, text, parameters=None):
    """One statement in a connection of its own; its rows, [] where it gives none."""
    connection = psycopg2.connect(uri, connect_timeout=10)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(text, parameters)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()
