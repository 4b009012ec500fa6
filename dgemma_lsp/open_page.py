"""`dgemma open`: a link that opens the page once, from the running daemon into the browser.

It starts no daemon; whoever calls has seen to that.
"""

import webbrowser
from http.client import HTTPConnection, HTTPException

import msgspec
from msgspec import Struct

from dgemma_lsp.chat_link import read_endpoint
from dgemma_lsp.config import Paths
from dgemma_lsp.errors import DaemonUnavailable

TIMEOUT_S = 10.0


class _Answer(Struct):
    link: str


def new_link(paths: Paths) -> str:
    """Ask the daemon for a link; raises DaemonUnavailable, with its address, where none comes."""
    endpoint = read_endpoint(paths)
    address = f"http://127.0.0.1:{endpoint.port}/page/links"
    connection = HTTPConnection("127.0.0.1", endpoint.port, timeout=TIMEOUT_S)
    try:
        connection.request(
            "POST", "/page/links", headers={"Authorization": f"Bearer {endpoint.token}"}
        )
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, HTTPException) as exc:
        raise DaemonUnavailable(f"{address} does not answer: {exc}; try again") from exc
    finally:
        connection.close()
    if answer.status != 200:
        raise DaemonUnavailable(
            f"{address} answers {answer.status}: run `dgemma stop` after an update, and try again"
        )
    return msgspec.json.decode(body, type=_Answer).link


def show(link: str) -> bool:
    """Open the link in the person's browser; False where none is found."""
    return webbrowser.open(link)
