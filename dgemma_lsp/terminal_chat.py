"""`dgemma chat`: a terminal client of the daemon's chat endpoint, WebSocket and JSON on loopback.

The conversation is kept here; each answer has a connection of its own, so a daemon that went away
in between is only started again. Which daemon, and argv, are the command line's business.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from dgemma_lsp import __version__, wire
from dgemma_lsp.checkpoints import NANO
from dgemma_lsp.config import Paths
from dgemma_lsp.errors import (
    DaemonUnavailable,
    DgemmaError,
    InvalidRequest,
    Unauthorized,
    UserError,
    from_code,
)
from dgemma_lsp.progress import Progress, printable
from dgemma_lsp.runtime import Endpoint

PROMPT = "> "
NANO_NOTE = (
    "nano is a small code model; it does not converse. "
    "For chat use --model google/diffusiongemma-26B-A4B-it"
)
_CUT = {
    "length": "the answer was cut at its largest length; see chat.max_tokens in the configuration",
    "deadline": "the answer was cut at its deadline",
}

Answer = wire.Draft | wire.Block | wire.Done


def read_endpoint(paths: Paths) -> Endpoint:
    """Return the port and token that the running daemon wrote; raises DaemonUnavailable."""
    try:
        return msgspec.json.decode(paths.endpoint.read_bytes(), type=Endpoint)
    except (OSError, msgspec.DecodeError) as exc:
        raise DaemonUnavailable(
            f"{paths.endpoint}: cannot be read: {exc}; run `dgemma stop` and try again"
        ) from exc


@contextmanager
def connection(paths: Paths) -> Iterator[tuple[ClientConnection, wire.Welcome]]:
    """Open a greeted connection to the endpoint.

    Raises DaemonUnavailable where it cannot be reached or breaks, Unauthorized where it refuses.
    """
    endpoint = read_endpoint(paths)
    address = f"ws://127.0.0.1:{endpoint.port}"
    hello = wire.Hello(protocol=wire.PROTOCOL, client=f"dgemma chat {__version__}")
    with ExitStack() as stack:
        try:
            socket = stack.enter_context(
                connect(
                    address,
                    additional_headers={"Authorization": f"Bearer {endpoint.token}"},
                    max_size=wire.MAX_FRAME_BYTES,
                    compression=None,
                    proxy=None,
                )
            )
        except InvalidHandshake as exc:
            raise Unauthorized(f"the chat endpoint {address} refuses: {exc}") from exc
        except OSError as exc:
            raise DaemonUnavailable(f"the chat endpoint {address} does not answer: {exc}") from exc
        # Left by an error, the socket itself would tell the daemon of an internal one.
        stack.enter_context(closing(socket))
        try:
            socket.send(wire.encode_json(hello))
            yield socket, _welcome(socket)
        except ConnectionClosed as exc:
            raise DaemonUnavailable(f"the chat endpoint {address} broke off: {exc}") from exc


def _welcome(socket: ClientConnection) -> wire.Welcome:
    match wire.decode_response(socket.recv()):
        case wire.Welcome() as welcome:
            return welcome
        case wire.Failed(code=code, message=text):
            raise from_code(code, text)
        case other:
            raise InvalidRequest(f"the daemon greets with {type(other).__name__}, not Welcome")


def answers(socket: ClientConnection, request: wire.Chat) -> Generator[Answer]:
    """Send the request and yield its answers, `Done` last; raises the error of a `Failed`.

    Left early, also by Ctrl-C, it takes the request back.
    """
    ended = False
    try:
        socket.send(wire.encode_json(request))
        while not ended:
            message = wire.decode_response(socket.recv())
            ended = isinstance(message, wire.Done | wire.Failed)
            match message:
                case wire.Draft() | wire.Block() | wire.Done():
                    yield message
                case wire.Failed(code=code, message=text):
                    raise from_code(code, text)
                case other:
                    raise InvalidRequest(f"the daemon answers with {type(other).__name__}")
    finally:
        if not ended:
            with suppress(ConnectionClosed):
                socket.send(wire.encode_json(wire.Cancel(id=request.id)))


class Conversation:
    """The turns so far, and how answers are shown: drafts on a terminal, else final text alone.

    `ensure_daemon` starts the daemon if none runs. Remarks go to `aside`, answers to `console`.
    """

    def __init__(
        self, paths: Paths, ensure_daemon: Callable[[], None], console: Console, aside: Console
    ) -> None:
        self.turns: list[wire.Turn] = []
        self._paths = paths
        self._ensure_daemon = ensure_daemon
        self._console = console
        self._aside = aside

    def introduce(self) -> None:
        """Tell in one line which model answers."""
        self._ensure_daemon()
        with connection(self._paths) as (_, welcome):
            text = NANO_NOTE if welcome.model == NANO else f"talking to {welcome.model}"
            self.remark(text)

    def ask(self, text: str) -> None:
        """Ask and show the answer; question and answer join the turns if there is an answer.

        Raises the error of a failed request.
        """
        self._ensure_daemon()
        turns = [*self.turns, wire.Turn(role="user", content=text)]
        progress = Progress()
        show = self._show_live if self._console.is_terminal else self._show_final
        with connection(self._paths) as (socket, welcome):
            request = wire.Chat(id="chat", messages=turns, drafts=self._console.is_terminal)
            loading = welcome.state != "ready"
            try:
                with closing(answers(socket, request)) as messages:
                    done = show(messages, progress, loading=loading)
            finally:
                if progress.final.strip():
                    self.turns = [*turns, wire.Turn(role="assistant", content=progress.final)]
        if not progress.final.strip():
            self.remark("the model answered nothing")
        elif done and done.reason in _CUT:
            self.remark(_CUT[done.reason])

    def _show_final(
        self, messages: Iterable[Answer], progress: Progress, *, loading: bool
    ) -> wire.Done | None:
        """Write what is final as it comes, as the model wrote it."""
        for message in messages:
            if isinstance(message, wire.Done):
                self._console.file.write("\n")
                return message
            shown = len(progress.final)
            progress.take(message)
            self._console.file.write(progress.final[shown:])
            self._console.file.flush()
        return None

    def _show_live(
        self, messages: Iterable[Answer], progress: Progress, *, loading: bool
    ) -> wire.Done | None:
        """Draw each draft over the one before it; in the end the final text stays alone."""
        try:
            with Live(console=self._console, transient=True, auto_refresh=False) as live:
                if loading:
                    live.update(Text("loading the model ...", style="dim"), refresh=True)
                for message in messages:
                    if isinstance(message, wire.Done):
                        return message
                    progress.take(message)
                    live.update(last_lines(progress, self._console), refresh=True)
        finally:
            if progress.final:
                self._console.print(Text(printable(progress.final)))
        return None

    def remark(self, text: str) -> None:
        """Tell something that is no part of an answer."""
        self._aside.print(Text(text, style="dim"), soft_wrap=True)


def last_lines(progress: Progress, console: Console) -> Text:
    """Return as much of the end of the answer as fits the screen, what may change dimmed."""
    text = Text(printable(progress.text))
    text.stylize("dim", progress.sure)
    lines = text.wrap(console, console.width)
    return Text("\n").join(lines[-max(1, console.height - 2) :])


def talk(conversation: Conversation, read_line: Callable[[str], str]) -> None:
    """Ask line after line until the end of input; a failed answer does not end it.

    Raises UserError, which asking again would not mend.
    """
    conversation.remark("Ctrl-C ends an answer, Ctrl-D the conversation.")
    while True:
        try:
            text = read_line(PROMPT).strip()
        except KeyboardInterrupt:
            conversation.remark("")  # the line that was being typed is given up
            continue
        except EOFError:
            conversation.remark("")
            return
        try:
            if text:
                conversation.ask(text)
        except KeyboardInterrupt:
            conversation.remark("cancelled")
        except UserError:
            raise
        except DgemmaError as exc:
            conversation.remark(f"dgemma: {exc}")
