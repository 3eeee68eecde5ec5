"""What every acknowledgement figure stands beside: a bare Flask route that commits one row to the same database.

It runs under the product's own gunicorn settings, on a plain driver connection for each thread: no pool, no layer, no
authentication, nothing looked up and nothing logged.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import Any

from flask import Flask, request


def connect(url: str) -> Any:
    """A driver's connection that commits each statement, as durable as the product's own."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection
    import psycopg

    return psycopg.connect(url, autocommit=True)


def create_table(url: str) -> None:
    """The table that the route writes to."""
    counter = "INTEGER" if url.startswith("sqlite") else "BIGSERIAL"
    connection = connect(url)
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS bench_row (id {counter} PRIMARY KEY, key TEXT NOT NULL, body TEXT NOT NULL)"
    )
    connection.close()


def insert_statement(url: str) -> str:
    """One row, in the database's own way of naming values."""
    mark = "?" if url.startswith("sqlite") else "%s"
    return f"INSERT INTO bench_row (key, body) VALUES ({mark}, {mark})"


def create_wsgi() -> Flask:
    """For gunicorn, on DATABASE_URL."""
    url = os.environ["DATABASE_URL"]
    insert = insert_statement(url)
    app = Flask("reference")
    local = threading.local()

    @app.post("/rows/<key>")
    def add(key: str) -> dict[str, bool]:
        connection = getattr(local, "connection", None)
        if connection is None:
            connection = local.connection = connect(url)
        connection.execute(insert, (key, request.get_data(as_text=True)))
        return {"success": True}

    return app
