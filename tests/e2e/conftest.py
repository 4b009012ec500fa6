"""The environment that every end-to-end test runs in."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from gemma_like import save_checkpoint
from home import CONFIG, Home


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slow end-to-end tests after those that fail in a second."""
    items.sort(key=lambda item: "e2e" in item.keywords)


@pytest.fixture(scope="module")
def daemon_home() -> Iterator[Home]:
    """A user without a daemon; one that the tests start is stopped at the end, and all its kin."""
    # Not tmp_path: the path of a Unix socket has 108 bytes at most.
    home = Home(Path(tempfile.mkdtemp(prefix="dgemma-", dir="/tmp")))
    yield home
    home.end()


@pytest.fixture(scope="module")
def instructed_home() -> Iterator[Home]:
    """The same with a small random model that takes instructions: it writes any text at all."""
    home = Home(Path(tempfile.mkdtemp(prefix="dgemma-", dir="/tmp")))
    checkpoint = save_checkpoint(home.folder / "tiny")
    home.paths.config_file.write_text(f'[model]\nname = "{checkpoint}"\n{CONFIG}')
    yield home
    home.end()
