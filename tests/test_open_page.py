import webbrowser

import pytest
from command import Command, dgemma
from msgspec.structs import replace

from dgemma_lsp import open_page
from dgemma_lsp.chat_link import read_endpoint
from dgemma_lsp.errors import DaemonUnavailable
from dgemma_lsp.runtime import write_private

__all__ = ["dgemma"]


def test_open_prints_a_link_without_the_token(dgemma: Command) -> None:
    with dgemma.real_daemon() as daemon:
        outcome = dgemma("open", "--link")
        assert outcome.code == 0
        assert outcome.out.startswith(f"http://127.0.0.1:{daemon.port}/page/#open=")
        assert read_endpoint(dgemma.paths).token not in outcome.out


@pytest.mark.parametrize(("found", "told"), [(True, ""), (False, "no browser is found here")])
def test_open_shows_the_page_in_the_browser_or_says_that_there_is_none(
    dgemma: Command, monkeypatch: pytest.MonkeyPatch, found: bool, told: str
) -> None:
    opened: list[str] = []

    def browse(link: str) -> bool:
        opened.append(link)
        return found

    monkeypatch.setattr(webbrowser, "open", browse)
    with dgemma.real_daemon():
        outcome = dgemma("open")
    assert outcome.code == 0 and outcome.out.startswith(told)
    assert (opened[0] in outcome.out) == (not found)


def test_a_daemon_that_refuses_or_is_gone_is_told_with_its_address(dgemma: Command) -> None:
    with dgemma.real_daemon():
        endpoint = read_endpoint(dgemma.paths)
        write_private(dgemma.paths.endpoint, replace(endpoint, token="wrong"))
        with pytest.raises(DaemonUnavailable, match="/page/links answers 401"):
            open_page.new_link(dgemma.paths)
    write_private(dgemma.paths.endpoint, endpoint)
    with pytest.raises(DaemonUnavailable, match="/page/links does not answer"):
        open_page.new_link(dgemma.paths)
