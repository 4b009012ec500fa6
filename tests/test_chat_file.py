import threading
from pathlib import Path

import pytest

from dgemma_lsp.chat_file import ConversationFile
from dgemma_lsp.chat_store import ConversationStore
from dgemma_lsp.errors import NotFound, StorageFailed


async def test_the_file_is_made_when_it_is_first_needed(tmp_path: Path) -> None:
    file = ConversationFile(tmp_path / "c.db")
    await file.work(lambda: None)
    assert not (tmp_path / "c.db").exists()
    made = await file.do(ConversationStore.create, "title", None)
    assert (await file.do(ConversationStore.summary, made.conversation)) == made
    await file.close()


async def test_everything_is_done_in_one_other_thread(tmp_path: Path) -> None:
    file = ConversationFile(tmp_path / "c.db")
    threads = {await file.work(threading.get_ident) for _ in range(3)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    await file.close()


async def test_errors_come_to_the_caller(tmp_path: Path) -> None:
    file = ConversationFile(tmp_path / "c.db")
    with pytest.raises(NotFound):
        await file.do(ConversationStore.summary, "gone")
    await file.close()


async def test_a_file_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.write_bytes(b"no database, and long enough to be looked at" * 100)
    file = ConversationFile(path)
    with pytest.raises(StorageFailed, match=r"c\.db"):
        await file.do(ConversationStore.newest, 0, 1)
    path.unlink()
    assert await file.do(ConversationStore.newest, 0, 1) == []
    await file.close()
