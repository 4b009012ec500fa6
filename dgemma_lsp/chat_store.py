"""Conversations on disk: SQLite in WAL mode. What a method has returned from survives a kill.

All I/O of conversations is here and blocks; whoever has an event loop calls it in a thread, one
call at a time. The rules are `chat`'s, who is told what is `conversations`'.
"""

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import msgspec

from dgemma_lsp.errors import NotFound, StorageFailed
from dgemma_lsp.wire_chat import Attachment, KeptTurn, Summary, TurnRole, TurnState, Usage

PATH_BYTES = 4_000_000  # of text that is read of a path at a time; a client asks for the rest

_MIGRATIONS = "chat_schema"

_SUMMARY = """
    SELECT id, key, title, system, head, created, updated,
        (SELECT count(*) FROM turns WHERE conversation = id) AS turns,
        (SELECT coalesce(max(turn), 0) FROM turns WHERE conversation = id AND state = 'writing')
            AS writing
    FROM conversations
"""

# An answer's text is that of its blocks.
_TURN = """
    SELECT t.*,
        t.text || coalesce((SELECT group_concat(text, '') FROM (
            SELECT text FROM blocks b
            WHERE b.conversation = t.conversation AND b.turn = t.turn ORDER BY block
        )), '') AS whole,
        (SELECT count(*) FROM blocks b WHERE b.conversation = t.conversation AND b.turn = t.turn)
            AS blocks,
        (SELECT json_group_array(turn) FROM (
            SELECT turn FROM turns s
            WHERE s.conversation = t.conversation AND s.parent = t.parent ORDER BY turn
        )) AS siblings
    FROM turns t
"""

# From a turn back to the first one.
_PATH = """
    WITH RECURSIVE path (turn, parent) AS (
        SELECT turn, parent FROM turns WHERE conversation = :conversation AND turn = :turn
        UNION ALL
        SELECT t.turn, t.parent FROM path JOIN turns t
        ON t.conversation = :conversation AND t.turn = path.parent
    )
"""


class ConversationStore:
    """The conversations in the file at `path`, which is made if it is missing.

    Every method raises StorageFailed where the file cannot be read or written, and NotFound for a
    conversation or turn that is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._translated():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            os.close(handle)
            # Opened in one thread and used in another, though never in two at once.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
        self._migrate()
        with self._transaction():
            self._db.execute(
                "UPDATE turns SET state = 'interrupted', reason = 'stopping', "
                "message = 'the daemon ended while it was written' WHERE state = 'writing'"
            )

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    # Conversations

    def newest(self, skip: int, limit: int) -> list[Summary]:
        """Return a part of all conversations, those changed last first."""
        with self._translated():
            rows = self._db.execute(
                f"{_SUMMARY} ORDER BY updated DESC, id DESC LIMIT ? OFFSET ?", (limit, skip)
            )
            return [_summary(row) for row in rows]

    def summary(self, key: str) -> Summary:
        """Return how a conversation is."""
        with self._translated():
            return _summary(self._row(key))

    def create(self, title: str, system: str | None) -> Summary:
        """Make an empty conversation."""
        with self._transaction():
            return self.summary(self._create(title, system))

    def change(self, key: str, values: Mapping[str, str | None]) -> Summary:
        """Set `title` or `system`, whichever is among the values."""
        with self._transaction():
            id = self._id(key)
            for column, value in values.items():
                assert column in ("title", "system")
                self._db.execute(f"UPDATE conversations SET {column} = ? WHERE id = ?", (value, id))
            self._touch(id)
            return self.summary(key)

    def delete(self, key: str) -> None:
        """Remove a conversation and all that belongs to it."""
        with self._transaction():
            self._db.execute("DELETE FROM conversations WHERE id = ?", (self._id(key),))

    def branch(self, key: str, turn: int, title: str) -> Summary:
        """Make a new conversation of the path that ends at `turn`; its turns are numbered anew."""
        with self._transaction():
            old = self._row(key)
            path = self._path_numbers(old["id"], turn)
            new = self._create(title or old["title"], old["system"])
            id = self._id(new)
            for number, original in enumerate(path, 1):
                self._copy(old["id"], original, id, number)
            self._db.execute("UPDATE conversations SET head = ? WHERE id = ?", (len(path), id))
            return self.summary(new)

    # Turns

    def turn(self, key: str, turn: int) -> KeptTurn:
        """Return one turn."""
        with self._translated():
            return self._turn(self._id(key), turn)

    def path(self, key: str, turn: int, limit: int, *, after: int = 0) -> list[KeptTurn]:
        """Return the turns from behind `after` to `turn`, the oldest first.

        Where they are more than `limit`, or longer than PATH_BYTES, the newest of them.
        """
        kept: list[KeptTurn] = []
        size = 0
        with self._translated():
            id = self._id(key)
            for number in reversed(self._path_numbers(id, turn) if turn else []):
                if number <= after or len(kept) == limit or (kept and size > PATH_BYTES):
                    break
                kept.append(self._turn(id, number))
                size += _size(kept[-1])
        return kept[::-1]

    def whole_path(self, key: str, turn: int) -> list[KeptTurn]:
        """Return every turn from the first to `turn`; none for 0."""
        with self._translated():
            rows = self._db.execute(
                f"{_PATH} {_TURN} JOIN path ON t.conversation = :conversation "
                "AND t.turn = path.turn ORDER BY t.turn",
                {"conversation": self._id(key), "turn": turn},
            )
            return [_turn(row) for row in rows]

    def all_turns(self, key: str) -> list[KeptTurn]:
        """Return the turns of all paths, in the order in which they were made."""
        with self._translated():
            rows = self._db.execute(
                f"{_TURN} WHERE t.conversation = ? ORDER BY t.turn", (self._id(key),)
            )
            return [_turn(row) for row in rows]

    def blocks(self, key: str, turn: int, skip: int) -> list[str]:
        """Return the texts of an answer's blocks from number `skip` on."""
        with self._translated():
            rows = self._db.execute(
                "SELECT text FROM blocks WHERE conversation = ? AND turn = ? AND block >= ? "
                "ORDER BY block",
                (self._id(key), turn, skip),
            )
            return [row["text"] for row in rows]

    def models(self, key: str) -> set[str]:
        """Return which models have answered in a conversation."""
        with self._translated():
            rows = self._db.execute(
                "SELECT DISTINCT model FROM turns WHERE conversation = ? AND role = 'assistant'",
                (self._id(key),),
            )
            return {row["model"] for row in rows}

    def taken(self, key: str, once: str) -> tuple[int, int] | None:
        """Return the question and the answer that came with this `once`; None where none did."""
        with self._translated():
            row = self._db.execute(
                "SELECT parent, turn FROM turns WHERE conversation = ? AND once = ? AND once <> ''",
                (self._id(key), once),
            ).fetchone()
            return None if row is None else (row["parent"], row["turn"])

    def choose(self, key: str, turn: int) -> Summary:
        """Make the newest path through `turn` the one that is shown."""
        with self._transaction():
            id = self._id(key)
            self._turn(id, turn)
            (head,) = self._db.execute(
                "WITH RECURSIVE down (turn) AS (SELECT :turn UNION ALL SELECT ("
                "SELECT max(turn) FROM turns WHERE conversation = :id AND parent = down.turn"
                ") FROM down WHERE down.turn IS NOT NULL) SELECT max(turn) FROM down",
                {"turn": turn, "id": id},
            ).fetchone()
            self._db.execute("UPDATE conversations SET head = ? WHERE id = ?", (head, id))
            return self.summary(key)

    # Questions and answers

    def ask(
        self,
        key: str,
        parent: int,
        text: str,
        attachments: Sequence[Attachment],
        *,
        title: str,
        model: str,
        notices: Sequence[str],
        once: str,
    ) -> tuple[int, int]:
        """Add a question behind `parent` and its answer, without blocks yet; return both numbers.

        The answer becomes the head; `title` is for a conversation without one.
        """
        with self._transaction():
            id = self._id(key)
            question = self._add(
                id, parent, "user", "done", text=text, attachments=_json(attachments)
            )
            self._db.execute(
                "UPDATE conversations SET title = ? WHERE id = ? AND title = ''", (title, id)
            )
            return question, self._begin(id, question, model, notices, once)

    def ask_again(
        self, key: str, question: int, *, model: str, notices: Sequence[str], once: str
    ) -> int:
        """Add another answer to a question, without blocks yet, as the head; return its number."""
        with self._transaction():
            return self._begin(self._id(key), question, model, notices, once)

    def add_block(self, key: str, turn: int, block: int, text: str) -> None:
        """Append a block to an answer that is being written."""
        with self._transaction():
            id = self._id(key)
            self._db.execute("INSERT INTO blocks VALUES (?, ?, ?, ?)", (id, turn, block, text))

    def end(
        self,
        key: str,
        turn: int,
        state: TurnState,
        *,
        reason: str,
        message: str,
        notices: Sequence[str],
        usage: Usage | None,
    ) -> None:
        """Say how an answer ended."""
        with self._transaction():
            id = self._id(key)
            self._db.execute(
                "UPDATE turns SET state = ?, reason = ?, message = ?, notices = ?, usage = ? "
                "WHERE conversation = ? AND turn = ?",
                (state, reason, message, _json(notices), _json(usage), id, turn),
            )
            self._touch(id)

    # Below the surface

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            raise StorageFailed(f"{self._path}: conversations cannot be kept: {exc}") from exc

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _migrate(self) -> None:
        """Run the numbered scripts that this file has not seen."""
        scripts = sorted(
            (script.name, script.read_text(encoding="utf-8"))
            for script in files("dgemma_lsp").joinpath(_MIGRATIONS).iterdir()
            if script.name.endswith(".sql")
        )
        with self._translated():
            (seen,) = self._db.execute("PRAGMA user_version").fetchone()
            if seen > len(scripts):
                raise StorageFailed(
                    f"{self._path}: was written by a newer dgemma (schema {seen}, this one knows "
                    f"{len(scripts)}): update dgemma"
                )
            for number, (_, script) in enumerate(scripts[seen:], seen + 1):
                self._db.executescript(
                    f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;"
                )

    def _row(self, key: str) -> sqlite3.Row:
        row: sqlite3.Row | None = self._db.execute(f"{_SUMMARY} WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise NotFound(f"there is no conversation {key!r}: it may have been deleted")
        return row

    def _id(self, key: str) -> int:
        row = self._db.execute("SELECT id FROM conversations WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise NotFound(f"there is no conversation {key!r}: it may have been deleted")
        return int(row["id"])

    def _turn(self, id: int, turn: int) -> KeptTurn:
        row = self._db.execute(
            f"{_TURN} WHERE t.conversation = ? AND t.turn = ?", (id, turn)
        ).fetchone()
        if row is None:
            raise NotFound(f"there is no turn {turn} in this conversation")
        return _turn(row)

    def _path_numbers(self, id: int, turn: int) -> list[int]:
        if not turn:
            return []
        numbers = [
            row["turn"]
            for row in self._db.execute(
                f"{_PATH} SELECT turn FROM path ORDER BY turn", {"conversation": id, "turn": turn}
            )
        ]
        if not numbers:
            raise NotFound(f"there is no turn {turn} in this conversation")
        return numbers

    def _create(self, title: str, system: str | None) -> str:
        key = secrets.token_hex(8)
        now = time.time()
        self._db.execute(
            "INSERT INTO conversations (key, title, system, created, updated) VALUES (?,?,?,?,?)",
            (key, title, system, now, now),
        )
        return key

    def _add(self, id: int, parent: int, role: TurnRole, state: TurnState, **values: str) -> int:
        (turn,) = self._db.execute(
            "SELECT coalesce(max(turn), 0) + 1 FROM turns WHERE conversation = ?", (id,)
        ).fetchone()
        columns = {
            "conversation": id,
            "turn": turn,
            "parent": parent,
            "role": role,
            "state": state,
            "created": time.time(),
            **values,
        }
        self._db.execute(
            f"INSERT INTO turns ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            list(columns.values()),
        )
        self._touch(id)
        return int(turn)

    def _begin(self, id: int, question: int, model: str, notices: Sequence[str], once: str) -> int:
        turn = self._add(
            id, question, "assistant", "writing", model=model, notices=_json(notices), once=once
        )
        self._db.execute("UPDATE conversations SET head = ? WHERE id = ?", (turn, id))
        return turn

    def _copy(self, id: int, turn: int, other: int, number: int) -> None:
        """Copy a turn into another conversation, behind its turn `number` - 1."""
        self._db.execute(
            "INSERT INTO turns SELECT ?, ?, ?, role, text, attachments, state, reason, message, "
            "notices, model, usage, '', created FROM turns WHERE conversation = ? AND turn = ?",
            (other, number, number - 1, id, turn),
        )
        self._db.execute(
            "INSERT INTO blocks SELECT ?, ?, block, text FROM blocks "
            "WHERE conversation = ? AND turn = ?",
            (other, number, id, turn),
        )

    def _touch(self, id: int) -> None:
        self._db.execute("UPDATE conversations SET updated = ? WHERE id = ?", (time.time(), id))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _summary(row: sqlite3.Row) -> Summary:
    return Summary(
        conversation=row["key"],
        title=row["title"],
        system=row["system"],
        head=row["head"],
        turns=row["turns"],
        created=row["created"],
        updated=row["updated"],
        writing=row["writing"],
    )


def _turn(row: sqlite3.Row) -> KeptTurn:
    return KeptTurn(
        turn=row["turn"],
        role=row["role"],
        text=row["whole"],
        parent=row["parent"],
        created=row["created"],
        attachments=msgspec.json.decode(row["attachments"], type=list[Attachment]),
        siblings=msgspec.json.decode(row["siblings"], type=list[int]),
        state=row["state"],
        reason=row["reason"],
        message=row["message"],
        notices=msgspec.json.decode(row["notices"], type=list[str]),
        blocks=row["blocks"],
        model=row["model"],
        usage=msgspec.json.decode(row["usage"], type=Usage | None),
    )


def _size(turn: KeptTurn) -> int:
    return len(turn.text) + sum(len(attachment.text) for attachment in turn.attachments)
