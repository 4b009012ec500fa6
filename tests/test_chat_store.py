"""Conversations on disk, without a daemon."""

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from long_talk import talked_long

from dgemma_lsp import chat_store
from dgemma_lsp.chat_store import ConversationStore
from dgemma_lsp.errors import NotFound, StorageFailed
from dgemma_lsp.wire_chat import Attachment, Usage

FILE = Attachment(name="a.py", text="x = '🦊'\n", language="python", first_line=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "conversations.db"


@pytest.fixture
def store(path: Path) -> Iterator[ConversationStore]:
    store = ConversationStore(path)
    yield store
    store.close()


def ask(store: ConversationStore, key: str, parent: int, text: str = "why", once: str = "") -> int:
    """Ask, and return the answer's number."""
    _, answer = store.ask(
        key, parent, text, [FILE], title=text, model="nano", notices=["new"], once=once
    )
    return answer


def end(store: ConversationStore, key: str, answer: int, *blocks: str) -> None:
    for number, text in enumerate(blocks):
        store.add_block(key, answer, number, text)
    store.end(key, answer, "done", reason="eos", message="", notices=["cut"], usage=Usage(tokens=3))


def test_what_was_kept_is_there_when_the_file_is_opened_again(
    store: ConversationStore, path: Path
) -> None:
    key = store.create("שלום", "Be brief.").conversation
    end(store, key, ask(store, key, 0), "a", "🦊", "")
    again = ConversationStore(path)
    assert again.summary(key) == store.summary(key)
    question, answer = again.whole_path(key, 2)
    again.close()
    assert (question.text, question.attachments, question.siblings) == ("why", [FILE], [1])
    assert (answer.text, answer.blocks, answer.parent) == ("a🦊", 3, 1)
    assert (answer.state, answer.reason, answer.notices) == ("done", "eos", ["cut"])
    assert answer.usage == Usage(tokens=3)


def test_the_file_is_for_its_owner_alone(store: ConversationStore, path: Path) -> None:
    for each in path.parent.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0, each
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_answer_that_nobody_ended_is_interrupted_when_the_file_is_opened(
    store: ConversationStore, path: Path
) -> None:
    key = store.create("", None).conversation
    store.add_block(key, ask(store, key, 0), 0, "half")
    assert store.summary(key).writing == 2
    again = ConversationStore(path)
    answer = again.turn(key, 2)
    assert (answer.text, answer.state, answer.reason) == ("half", "interrupted", "stopping")
    assert again.summary(key).writing == 0
    again.close()


def test_a_title_is_taken_from_the_first_question_only(store: ConversationStore) -> None:
    key = store.create("", None).conversation
    end(store, key, ask(store, key, 0, "first"), "a")
    end(store, key, ask(store, key, 2, "second"), "b")
    assert store.summary(key).title == "first"


def test_a_path_goes_from_the_first_turn_to_the_one_that_is_named(
    store: ConversationStore,
) -> None:
    key = store.create("", None).conversation
    for _ in range(3):
        end(store, key, ask(store, key, store.summary(key).head), "a")
    other = ask(store, key, 2)
    assert [turn.turn for turn in store.whole_path(key, 6)] == [1, 2, 3, 4, 5, 6]
    assert [turn.turn for turn in store.whole_path(key, other)] == [1, 2, 7, 8]
    assert store.whole_path(key, 0) == []
    assert [turn.turn for turn in store.path(key, 6, limit=2)] == [5, 6]
    assert [turn.turn for turn in store.path(key, 6, limit=9, after=4)] == [5, 6]
    assert [turn.turn for turn in store.path(key, 8, limit=9, after=6)] == [7, 8]


def test_a_path_that_is_read_is_bounded_by_its_length_too(
    store: ConversationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_store, "PATH_BYTES", 100)
    key = store.create("", None).conversation
    for _ in range(3):
        end(store, key, ask(store, key, store.summary(key).head), "x" * 60)
    assert [turn.turn for turn in store.path(key, 6, limit=9)] == [4, 5, 6]
    end(store, key, ask(store, key, 6), "x" * 200)
    assert [turn.turn for turn in store.path(key, 8, limit=9)] == [8]


def test_the_newest_path_through_a_turn_is_chosen(store: ConversationStore) -> None:
    key = store.create("", None).conversation
    end(store, key, ask(store, key, 0), "a")  # 1, 2
    end(store, key, ask(store, key, 2), "b")  # 3, 4
    end(store, key, store.ask_again(key, 3, model="nano", notices=[], once=""), "c")  # 5
    end(store, key, ask(store, key, 0), "d")  # 6, 7
    heads = {turn: store.choose(key, turn).head for turn in (1, 4, 5, 3, 6, 7)}
    assert heads == {1: 5, 4: 4, 5: 5, 3: 5, 6: 7, 7: 7}
    assert store.turn(key, 4).siblings == store.turn(key, 5).siblings == [4, 5]
    assert store.turn(key, 1).siblings == [1, 6]


def test_a_branch_shares_nothing_with_what_it_came_from(store: ConversationStore) -> None:
    key = store.create("old", "Be brief.").conversation
    end(store, key, ask(store, key, 0), "a")
    end(store, key, ask(store, key, 0, once="o"), "b")  # 3, 4
    branch = store.branch(key, 4, "")
    assert (branch.title, branch.system, branch.head, branch.turns) == ("old", "Be brief.", 2, 2)
    store.delete(key)
    assert [turn.text for turn in store.whole_path(branch.conversation, 2)] == ["why", "b"]
    assert store.taken(branch.conversation, "o") is None


def test_what_is_deleted_leaves_nothing_behind(store: ConversationStore, path: Path) -> None:
    key = store.create("", None).conversation
    end(store, key, ask(store, key, 0), "a")
    store.delete(key)
    with sqlite3.connect(path) as db:
        for table in ("conversations", "turns", "blocks"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    db.close()


def test_once_names_what_was_taken(store: ConversationStore) -> None:
    key = store.create("", None).conversation
    end(store, key, ask(store, key, 0, once="a"), "x")
    assert store.taken(key, "a") == (1, 2)
    assert store.taken(key, "b") is None
    assert store.taken(key, "") is None


def test_the_rest_of_an_answer_is_read_by_its_blocks(store: ConversationStore) -> None:
    key = store.create("", None).conversation
    end(store, key, ask(store, key, 0), "a", "b", "c")
    assert [store.blocks(key, 2, skip) for skip in (0, 2, 3, 9)] == [["a", "b", "c"], ["c"], [], []]


def test_half_a_question_is_never_kept(store: ConversationStore) -> None:
    key = store.create("", None).conversation
    ask(store, key, 0, once="a")
    with pytest.raises(StorageFailed):
        ask(store, key, 2, once="a")  # the answer cannot be kept, so the question is not
    assert store.summary(key).turns == 2


@pytest.mark.parametrize("method", ["summary", "delete", "all_turns", "models"])
def test_a_conversation_that_is_not_there_is_named(store: ConversationStore, method: str) -> None:
    with pytest.raises(NotFound, match="'gone'"):
        getattr(store, method)("gone")


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    ConversationStore(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StorageFailed, match=r"schema 99.*update dgemma"):
        ConversationStore(path)


def test_every_migration_runs_once_and_in_order(path: Path) -> None:
    for _ in range(2):
        ConversationStore(path).close()
    db = sqlite3.connect(path)
    (version,) = db.execute("PRAGMA user_version").fetchone()
    mode = db.execute("PRAGMA journal_mode").fetchone()
    db.close()
    assert (version, mode) == (1, ("wal",))


@pytest.mark.parametrize("content", [b"no database" * 100, None])
def test_a_file_that_cannot_be_used_is_told_with_its_path(
    path: Path, content: bytes | None
) -> None:
    path.parent.mkdir()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(StorageFailed, match=r"conversations\.db: conversations cannot be kept: "):
        ConversationStore(path)


def test_ten_thousand_turns_are_kept_and_read(store: ConversationStore) -> None:
    key = talked_long(store, 10_000)
    assert len(store.whole_path(key, 10_000)) == 10_000
    assert [turn.turn for turn in store.path(key, 10_000, limit=2)] == [9999, 10_000]
    assert store.choose(key, 1).head == 10_000
    assert ask(store, key, 10_000) == 10_002
