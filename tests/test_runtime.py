import asyncio
import os
import stat
from pathlib import Path

import msgspec
import pytest

from dgemma_lsp import runtime
from dgemma_lsp.config import Paths
from dgemma_lsp.errors import UserError
from dgemma_lsp.runtime import Endpoint, only_daemon, prepare_folder, write_private


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "run").mkdir(mode=0o700)
    return Paths(config_file=tmp_path / "c", runtime=tmp_path / "run", state=tmp_path / "state")


def test_the_folder_is_made_for_the_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    prepare_folder(folder)
    prepare_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o702, 0o777])
def test_a_folder_that_others_reach_into_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(UserError, match=f"others may reach into it .mode {mode:04o}.: run `chmod"):
        prepare_folder(folder)


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: own + 1)
    with pytest.raises(UserError, match=f"belongs to user {own}, not to you .{own + 1}."):
        prepare_folder(tmp_path)


def test_a_folder_below_somebody_else_s_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, theirs = os.getuid(), Path.stat(tmp_path)
    (tmp_path / "run").mkdir(mode=0o700)
    given = os.stat_result((*theirs[:4], 12345, *theirs[5:10]))
    monkeypatch.setattr(Path, "stat", lambda self, **_: given)
    with pytest.raises(UserError, match=f"belongs to user 12345, not to you .{own}."):
        prepare_folder(tmp_path / "run")


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "run"
    if kind == "link":
        place.symlink_to(tmp_path)
    else:
        place.touch()
    with pytest.raises(UserError, match=str(place)):
        prepare_folder(place)


async def test_the_lock_is_refused_to_a_second_daemon_and_free_after_the_first(
    paths: Paths,
) -> None:
    async with only_daemon(paths):
        paths.socket.touch()
        with pytest.raises(UserError, match="another daemon runs already"):
            async with only_daemon(paths):
                pass
    async with only_daemon(paths):
        pass


async def test_a_daemon_waits_for_one_that_goes_down_and_has_removed_its_socket(
    paths: Paths,
) -> None:
    entered = asyncio.Event()

    async def second() -> None:
        async with only_daemon(paths):
            entered.set()

    async with asyncio.timeout(30):
        async with only_daemon(paths):
            waiting = asyncio.create_task(second())
            await asyncio.sleep(0)
            assert not entered.is_set()
        await waiting
    assert entered.is_set()


async def test_a_daemon_does_not_wait_for_ever(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "HANDOVER_S", 0.0)
    async with only_daemon(paths):
        with pytest.raises(UserError, match="another daemon runs already"):
            async with only_daemon(paths):
                pass


async def test_a_lock_that_cannot_be_made_is_told(paths: Paths) -> None:
    paths.lock.mkdir()
    with pytest.raises(UserError, match="cannot be locked"):
        async with only_daemon(paths):
            pass


def test_the_endpoint_is_written_whole_and_for_the_user_alone(paths: Paths) -> None:
    old = os.umask(0)
    try:
        write_private(paths.endpoint, Endpoint(port=1, token="a", pid=2))
        write_private(paths.endpoint, Endpoint(port=3, token="b", pid=4))
    finally:
        os.umask(old)
    assert msgspec.json.decode(paths.endpoint.read_bytes()) == {"port": 3, "token": "b", "pid": 4}
    assert stat.S_IMODE(paths.endpoint.stat().st_mode) == 0o600
    assert os.listdir(paths.runtime) == [paths.endpoint.name]


def test_an_endpoint_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        write_private(tmp_path / "missing" / "endpoint.json", Endpoint(port=1, token="", pid=1))
