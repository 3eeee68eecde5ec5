"""search by any part of names and numbers

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from sync_service.subscription.limio.columns import fold

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_BATCH = 1000
_MARK = {"sqlite": "char(2)", "postgresql": "chr(2)"}
#: For each table: the kind of its entries, their target, their text ({mark} begins a word, {row} is the row), when
#: there is one, and the columns that change it.
_SOURCES = {
    "limio_customer": (
        "customer",
        "{row}.id",
        (
            "{mark} || replace(coalesce({row}.name_folded, ''), ' ', ' ' || {mark})"
            " || ' ' || {mark} || coalesce({row}.email_folded, '')"
        ),
        "coalesce({row}.name_folded, {row}.email_folded) IS NOT NULL",
        "name_folded, email_folded",
    ),
    "limio_subscription": (
        "reference",
        "{row}.id",
        "{mark} || lower({row}.reference)",
        "{row}.reference IS NOT NULL",
        "reference",
    ),
    "zuora_link": (
        "number",
        "{row}.number",
        "{mark} || lower({row}.number) || ' ' || {mark} || lower(coalesce({row}.account_number, ''))",
        "{row}.number IS NOT NULL",
        "account_number",
    ),
}
_PUT = """
INSERT INTO search_entry (kind, target, text) SELECT '{kind}', {target}, {text} WHERE {condition}
ON CONFLICT (kind, target) DO UPDATE SET text = excluded.text"""
_DROP = "DELETE FROM search_entry WHERE kind = '{kind}' AND target = {target}"


def upgrade() -> None:
    """Bring the schema one step forward."""
    op.create_table(
        "search_entry",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("text", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_entry")),
        sa.UniqueConstraint("kind", "target", name=op.f("uq_search_entry_kind_target")),
    )
    filled = sa.text("order_number IS NOT NULL")
    op.create_index("ix_callout_order", "callout", ["order_number"], sqlite_where=filled, postgresql_where=filled)
    _fold_again()
    dialect = op.get_bind().dialect.name
    for table, (kind, target, text, condition, _) in _SOURCES.items():
        words = {"mark": _MARK[dialect], "row": table}
        op.execute(
            f"INSERT INTO search_entry (kind, target, text) SELECT '{kind}', {target.format(**words)}, "  # noqa: S608 - constants
            f"{text.format(**words)} FROM {table} WHERE {condition.format(**words)}"
        )
    (_index_sqlite if dialect == "sqlite" else _index_postgresql)()


def downgrade() -> None:
    """Take the step back."""
    if op.get_bind().dialect.name == "sqlite":
        for table in _SOURCES:
            for event in ("insert", "update", "delete"):
                op.execute(f"DROP TRIGGER search_{table}_{event}")
        op.execute("DROP TABLE search_gram")
    else:
        for table in _SOURCES:
            op.execute(f"DROP TRIGGER search_put ON {table}")
            op.execute(f"DROP TRIGGER search_change ON {table}")
            op.execute(f"DROP TRIGGER search_drop ON {table}")
            op.execute(f"DROP FUNCTION search_{table}()")
    op.drop_table("search_entry")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION search_grams(text)")
    op.drop_index("ix_callout_order", "callout")


def _fold_again() -> None:
    """Names and addresses were folded with their accents before."""
    connection, after = op.get_bind(), ""
    read = sa.text(
        "SELECT id, name, email, name_folded, email_folded FROM limio_customer "
        "WHERE id > :after ORDER BY id LIMIT :most"
    )
    write = sa.text("UPDATE limio_customer SET name_folded = :name, email_folded = :email WHERE id = :id")
    while rows := connection.execute(read, {"after": after, "most": _BATCH}).all():
        after = rows[-1].id
        changed = [
            {"id": row.id, "name": name, "email": email}
            for row in rows
            for name, email in [(fold(row.name) or None, fold(row.email) or None)]
            if (name, email) != (row.name_folded, row.email_folded)
        ]
        if changed:
            connection.execute(write, changed)


def _index_sqlite() -> None:
    op.execute(
        "CREATE VIRTUAL TABLE search_gram USING fts5("
        "text, content='search_entry', content_rowid='id', tokenize='trigram', columnsize=0)"
    )
    op.execute("INSERT INTO search_gram (search_gram) VALUES ('rebuild')")
    put = "INSERT INTO search_gram (rowid, text) VALUES (new.id, new.text);"
    drop = "INSERT INTO search_gram (search_gram, rowid, text) VALUES ('delete', old.id, old.text);"
    op.execute(f"CREATE TRIGGER search_gram_insert AFTER INSERT ON search_entry BEGIN {put} END")
    op.execute(f"CREATE TRIGGER search_gram_delete AFTER DELETE ON search_entry BEGIN {drop} END")
    op.execute(f"CREATE TRIGGER search_gram_update AFTER UPDATE OF text ON search_entry BEGIN {drop} {put} END")
    for table, (kind, target, text, condition, columns) in _SOURCES.items():
        new, old = ({"mark": _MARK["sqlite"], "row": row} for row in ("new", "old"))
        put = _PUT.format(
            kind=kind, target=target.format(**new), text=text.format(**new), condition=condition.format(**new)
        )
        drop = _DROP.format(kind=kind, target=target.format(**old))
        op.execute(f"CREATE TRIGGER search_{table}_insert AFTER INSERT ON {table} BEGIN {put}; END")
        differs = " OR ".join(f"new.{column} IS NOT old.{column}" for column in columns.split(", "))
        op.execute(
            f"CREATE TRIGGER search_{table}_update AFTER UPDATE OF {columns} ON {table} WHEN {differs} "
            f"BEGIN {drop}; {put}; END"
        )
        op.execute(f"CREATE TRIGGER search_{table}_delete AFTER DELETE ON {table} BEGIN {drop}; END")


def _index_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION search_grams(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ "
        "SELECT coalesce(array_agg(DISTINCT substr($1, place, 3)), '{}') "
        "FROM generate_series(1, length($1) - 2) AS place $$"
    )
    op.execute("CREATE INDEX search_gram_index ON search_entry USING gin (search_grams(text))")
    for table, (kind, target, text, condition, columns) in _SOURCES.items():
        new, old = ({"mark": _MARK["postgresql"], "row": row} for row in ("NEW", "OLD"))
        put = _PUT.format(
            kind=kind, target=target.format(**new), text=text.format(**new), condition=condition.format(**new)
        )
        drop = _DROP.format(kind=kind, target=target.format(**old))
        op.execute(
            f"CREATE FUNCTION search_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF TG_OP <> 'INSERT' THEN {drop}; END IF; IF TG_OP <> 'DELETE' THEN {put}; END IF; RETURN NULL; END $$"
        )
        differs = " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in columns.split(", "))
        call = f"FOR EACH ROW {{when}}EXECUTE FUNCTION search_{table}()"
        op.execute(f"CREATE TRIGGER search_put AFTER INSERT ON {table} {call.format(when='')}")
        changed = call.format(when=f"WHEN ({differs}) ")
        op.execute(f"CREATE TRIGGER search_change AFTER UPDATE OF {columns} ON {table} {changed}")
        op.execute(f"CREATE TRIGGER search_drop AFTER DELETE ON {table} {call.format(when='')}")
