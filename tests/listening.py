"""Hears every statement that reaches the database, through the ORM or a session's own way, and each commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from sync_service.store.engine import Database, Session

#: Told of the connection's notes (one mapping for each), the statement as the driver gets it, and its values.
Tell = Callable[[dict[Any, Any], str | bytes, Any], None]


def _info_of(session: Session) -> dict[Any, Any]:
    return session.pooled.info


def _nothing(*_: Any) -> None:
    return


@contextmanager
def listening(
    *,
    before: Tell = _nothing,
    after: Tell = _nothing,
    begin: Callable[[dict[Any, Any]], None] = _nothing,
    commit: Callable[[dict[Any, Any]], None] = _nothing,
    committed: Callable[[dict[Any, Any]], None] = _nothing,
) -> Iterator[None]:
    """Calls these for whatever happens in this process meanwhile."""

    def note_before(connection: Connection, _: Any, statement: str, values: Any, *__: Any) -> None:
        before(connection.info, statement, values)

    def note_after(connection: Connection, _: Any, statement: str, values: Any, *__: Any) -> None:
        after(connection.info, statement, values)

    plain_run, plain_commit, plain_transaction = Session.run, Session.commit, Database.transaction

    def run(session: Session, statement: Any, values: Any = ()) -> Any:
        several = [values] if isinstance(values, Mapping) else values or [{}]
        made = session.database.make(statement, several[0])
        arranged = [made.arrange(each) for each in several]
        sent = arranged[0] if len(several) == 1 else tuple(arranged)
        before(_info_of(session), made.text, sent)
        done = plain_run(session, statement, values)
        after(_info_of(session), made.text, sent)
        return done

    def told_commit(session: Session) -> None:
        session.flush()
        commit(_info_of(session))
        plain_commit(session)
        committed(_info_of(session))

    @contextmanager
    def transaction(database: Database, **values: Any) -> Iterator[Session]:
        with plain_transaction(database, **values) as session:
            begin(_info_of(session))
            yield session

    patched: Any = Session
    patched.run, patched.commit = run, told_commit
    Database.transaction = transaction  # type: ignore[method-assign, assignment]
    event.listen(Engine, "before_cursor_execute", note_before)
    event.listen(Engine, "after_cursor_execute", note_after)
    try:
        yield
    finally:
        patched.run, patched.commit = plain_run, plain_commit
        Database.transaction = plain_transaction  # type: ignore[method-assign]
        event.remove(Engine, "before_cursor_execute", note_before)
        event.remove(Engine, "after_cursor_execute", note_after)
