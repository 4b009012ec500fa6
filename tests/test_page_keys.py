import stat
from pathlib import Path

import pytest

from dgemma_lsp.page_keys import LINK_S, MOST_SESSIONS, PageKeys


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_link_is_exchanged_once(tmp_path: Path) -> None:
    keys = PageKeys(tmp_path / "page.json")
    link = keys.new_link()
    session = keys.enter(link)
    assert session is not None and keys.knows(session)
    assert keys.enter(link) is None


@pytest.mark.parametrize(("after_s", "opens"), [(LINK_S - 1, True), (LINK_S, False)])
def test_a_link_is_good_for_a_minute(tmp_path: Path, after_s: float, opens: bool) -> None:
    clock = Clock()
    keys = PageKeys(tmp_path / "page.json", clock)
    link = keys.new_link()
    clock.now += after_s
    assert (keys.enter(link) is not None) == opens


@pytest.mark.parametrize("key", ["", "guessed", "\udc80"])
def test_what_was_never_given_opens_nothing(tmp_path: Path, key: str) -> None:
    keys = PageKeys(tmp_path / "page.json")
    keys.new_link()
    assert keys.enter(key) is None
    assert not keys.knows(key)


def test_the_next_daemon_knows_the_sessions_and_the_port(tmp_path: Path) -> None:
    keys = PageKeys(tmp_path / "page.json")
    keys.stand_at(4321)
    link, unused = keys.new_link(), keys.new_link()
    session = keys.enter(link)
    assert session is not None
    after = PageKeys(tmp_path / "page.json")
    assert (after.port, after.knows(session), after.enter(unused)) == (4321, True, None)


def test_where_nobody_enters_nothing_is_left_behind(tmp_path: Path) -> None:
    keys = PageKeys(tmp_path / "page.json")
    keys.stand_at(4321)
    keys.new_link()
    assert list(tmp_path.iterdir()) == []


def test_neither_links_nor_sessions_stand_on_disk_and_only_the_owner_reads_it(
    tmp_path: Path,
) -> None:
    keys = PageKeys(tmp_path / "page.json")
    link = keys.new_link()
    session = keys.enter(link)
    written = (tmp_path / "page.json").read_text()
    assert link not in written and str(session) not in written
    assert stat.S_IMODE((tmp_path / "page.json").stat().st_mode) == 0o600


def test_a_broken_file_signs_everybody_out_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "page.json").write_text("{")
    keys = PageKeys(tmp_path / "page.json")
    assert keys.port == 0
    assert keys.enter(keys.new_link())


def test_the_oldest_session_gives_way(tmp_path: Path) -> None:
    keys = PageKeys(tmp_path / "page.json")
    sessions = [keys.enter(keys.new_link()) or "" for _ in range(MOST_SESSIONS + 1)]
    assert [keys.knows(session) for session in sessions] == [False, *[True] * MOST_SESSIONS]
