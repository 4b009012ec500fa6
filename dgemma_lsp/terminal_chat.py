"""`dgemma chat`: a conversation that the daemon keeps, in a terminal or a pipe.

What a line means is `chat_commands`', the connection `chat_link`'s; which daemon, and argv, are the
command line's business.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dgemma_lsp import chat_commands, chat_text, wire
from dgemma_lsp.at_cursor import read
from dgemma_lsp.chat_commands import Command, Question
from dgemma_lsp.chat_copy import ConversationCopy
from dgemma_lsp.chat_link import WATCH, ChatLink, Heard
from dgemma_lsp.errors import DaemonStopping, DgemmaError, NotFound, UserError, from_code
from dgemma_lsp.progress import Progress, printable
from dgemma_lsp.wire_chat import (
    About,
    Attachment,
    BranchConversation,
    ChangeConversation,
    ChatRequest,
    Conversations,
    DeleteConversation,
    EditTurn,
    ExportConversation,
    Exported,
    Format,
    KeptTurn,
    ListConversations,
    NewConversation,
    Regenerate,
    SendTurn,
    StopAnswer,
    Summary,
    Taken,
    TurnEnded,
    TurnTold,
)

PROMPT = "> "
LISTED = 50
_CUT = {
    "length": "the answer was cut at its largest length; see chat.max_tokens in the configuration",
    "deadline": "the answer was cut at its deadline",
}

ReadLine = Callable[[str, str], str]  # a prompt, and what stands there to be changed


class Talk:
    """A person at the terminal, the conversation that is open, and what is shown of it.

    Remarks go to `aside`, answers to `console`: drafts on a terminal, else final text alone.
    """

    def __init__(self, link: ChatLink, console: Console, aside: Console) -> None:
        self._link, self._console, self._aside = link, console, aside
        self._copy: ConversationCopy | None = None  # None: the next question begins one
        self._title = ""
        self._system: str | None = None
        self._attached: list[Attachment] = []
        self._listed: list[Summary] = []
        self._loaded = False  # the model has written something already

    # Questions and answers

    def introduce(self, *, going_on: bool, at_length: bool) -> None:
        """Tell which model answers and, where the last conversation goes on, open it."""
        self.remark(f"talking to {self._link.greet().model}")
        if going_on:
            self._listed = self._newest(1)
            if self._listed:
                key = self._listed[0].conversation
                if at_length:
                    self._open(key)
                else:
                    self._watch(key)
            else:
                self.remark("there is no conversation yet: this is the first one")

    def ask(self, text: str) -> None:
        """Ask and show the answer; raises the error of one that failed."""
        chat_text.check_question(text, self._attached)
        once, files = secrets.token_hex(8), self._attached
        key = self._opened().key
        self._have_answered(
            lambda id: SendTurn(id=id, conversation=key, text=text, attachments=files, once=once)
        )
        self._attached = []

    def _have_answered(self, request: Callable[[str], ChatRequest]) -> None:
        """Send a request that has an answer written, and show it; Ctrl-C stops it and is raised."""
        copy = self._opened()
        try:
            (taken,) = [each for each in self._link.ask(request) if isinstance(each, Taken)]
            early = copy.turns[taken.answer].notices
            self._tell_notices(early)
            self._show(self._until_ended(taken.answer))
        except KeyboardInterrupt:
            self._stop(copy)
            raise
        answer = copy.turns[taken.answer]
        self._show_text(answer)
        self._tell_notices([notice for notice in answer.notices if notice not in early])
        self._tell_end(answer)

    def _stop(self, copy: ConversationCopy) -> None:
        """Stop the answer, wherever it was when Ctrl-C came, and show what of it is final."""
        self._link.ask(lambda id: StopAnswer(id=id, conversation=copy.key))
        if copy.path and copy.path[-1].state == "stopped":
            self._show_text(copy.path[-1])
        self.remark("stopped")

    def _until_ended(self, turn: int) -> Iterator[wire.Draft | wire.Block]:
        """Yield what is told of an answer until it has ended."""
        for message in self._link.told():
            self._check_watch(message)
            match message:
                case wire.Draft() | wire.Block() if message.turn == turn:
                    yield message
                case TurnTold(turn=kept) if kept.turn == turn:
                    if kept.text:  # what was written while there was no connection
                        yield wire.Block(id=WATCH, turn=turn, block=0, text=kept.text)
                    if kept.state != "writing":
                        return
                case TurnEnded() if message.turn == turn:
                    return

    def _check_watch(self, message: Heard) -> None:
        """Raise the error of a watch that ended; one of a daemon that goes down is begun again."""
        if message.id != WATCH:
            return
        if isinstance(message, wire.Failed) and message.code != DaemonStopping.code:
            raise from_code(message.code, message.message)
        if isinstance(message, wire.Done):
            self._copy = None
            raise NotFound("the conversation was deleted elsewhere")

    def _tell_notices(self, notices: Sequence[str]) -> None:
        for notice in notices:
            self.remark(notice)

    def _tell_end(self, turn: KeptTurn) -> None:
        if turn.state != "done":
            raise from_code(turn.reason, turn.message or f"the answer was {turn.state}")
        if not turn.text.strip():
            self.remark("the model answered nothing")
        if turn.reason in _CUT:
            self.remark(_CUT[turn.reason])
        if turn.usage and self._console.is_terminal:
            usage = turn.usage
            self.remark(
                f"{usage.tokens} tokens in {usage.steps} steps "
                f"({usage.tokens_per_step:.1f} a step), {usage.tokens_per_s:.0f} tokens/s"
            )

    def _show(self, told: Iterator[wire.Draft | wire.Block]) -> None:
        if self._console.is_terminal:
            self._show_live(told)
        else:
            self._show_final(told)

    def _show_text(self, answer: KeptTurn) -> None:
        """Show an answer that has ended, on a terminal in the place of its drafts."""
        if not self._console.is_terminal:
            self._console.file.write("\n")
        elif answer.text:
            self._console.print(Text(printable(answer.text)))

    def _show_final(self, told: Iterator[wire.Draft | wire.Block]) -> None:
        """Write what is final as it comes, as the model wrote it."""
        for message in told:
            if isinstance(message, wire.Block):
                self._console.file.write(message.text)
                self._console.file.flush()

    def _show_live(self, told: Iterator[wire.Draft | wire.Block]) -> None:
        """Draw each draft over the one before it; in the end nothing of it stays."""
        progress = Progress()
        with Live(console=self._console, transient=True, auto_refresh=False) as live:
            if not self._loaded and self._link.greet().state != "ready":
                live.update(Text("loading the model ...", style="dim"), refresh=True)
            for message in told:
                self._loaded = True
                progress.take(message)
                live.update(last_lines(progress, self._console), refresh=True)

    # Conversations

    def do(self, command: Command, read_line: ReadLine) -> None:
        """Carry a command out; raises UserError and what the daemon refuses."""
        argument = command.argument
        match command.name:
            case "new":
                self._begin_anew(argument)
            case "list":
                self._list()
            case "open":
                self._open(self._numbered(argument).conversation)
            case "show":
                for turn in self._opened_already().path:
                    self._show_turn(turn)
            case "regenerate":
                self._regenerate()
            case "edit":
                self._edit(argument, read_line)
            case "branch":
                self._branch()
            case "title":
                self._rename(argument)
            case "system":
                self._set_system(argument)
            case "attach":
                self._attach(argument)
            case "export":
                self._export(Path(argument).expanduser())
            case "delete":
                self._delete(argument)
            case "help":
                self.remark(chat_commands.help_text())
            case other:
                raise AssertionError(other)

    def _opened(self) -> ConversationCopy:
        """Return the conversation that is open; where there is none, one is begun."""
        if self._copy is None:
            title, system = self._title, self._system
            (about,) = self._link.ask(lambda id: NewConversation(id=id, title=title, system=system))
            assert isinstance(about, About)
            self._watch(about.conversation.conversation)
        assert self._copy is not None
        return self._copy

    def _opened_already(self) -> ConversationCopy:
        if self._copy is None:
            raise UserError("nothing has been said yet in this conversation")
        return self._copy

    def _watch(self, key: str) -> None:
        copy = ConversationCopy(key)
        self._link.watch(copy)
        self._copy = copy

    def _open(self, key: str) -> None:
        self._watch(key)
        copy = self._opened_already()
        if copy.about is not None:
            self.remark(f"{_title(copy.about)}  ({copy.about.turns} turns)")
        for turn in copy.path[-2:]:
            self._show_turn(turn)

    def _begin_anew(self, title: str) -> None:
        self._copy, self._title, self._system = None, title, None
        self.remark("a new conversation begins with what you say next")

    def _newest(self, count: int) -> list[Summary]:
        (answer,) = self._link.ask(lambda id: ListConversations(id=id, limit=count))
        assert isinstance(answer, Conversations)
        return answer.conversations

    def _list(self) -> None:
        self._listed = self._newest(LISTED)
        if not self._listed:
            self.remark("no conversation is kept yet")
        for number, each in enumerate(self._listed, 1):
            here = "*" if self._copy and each.conversation == self._copy.key else " "
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.updated))
            self.remark(f"{here}{number:>3}  {when}  {_title(each)}  ({each.turns} turns)")

    def _numbered(self, argument: str) -> Summary:
        if not self._listed:
            self._listed = self._newest(LISTED)
        return self._listed[chat_commands.number(argument, len(self._listed)) - 1]

    def _show_turn(self, turn: KeptTurn) -> None:
        if turn.role == "user":
            for file in turn.attachments:
                self.remark(f"(attached: {chat_text.place(file)})")
            self.remark(f"{PROMPT}{printable(turn.text)}")
            return
        self._tell_notices(turn.notices)
        if turn.text:
            self._console.print(Text(printable(turn.text)))
        if turn.state != "done":
            self.remark(f"({turn.state})")

    def _regenerate(self) -> None:
        key, once = self._opened_already().key, secrets.token_hex(8)
        self._have_answered(lambda id: Regenerate(id=id, conversation=key, once=once))

    def _edit(self, text: str, read_line: ReadLine) -> None:
        copy = self._opened_already()
        asked = [turn for turn in copy.path if turn.role == "user"]
        if not asked:
            raise UserError("there is no question yet to ask differently")
        last = asked[-1]
        text = text or read_line(PROMPT, last.text).strip()
        key, once = copy.key, secrets.token_hex(8)
        files = [*last.attachments, *self._attached]
        chat_text.check_question(text, files)
        self._have_answered(
            lambda id: EditTurn(
                id=id, conversation=key, turn=last.turn, text=text, attachments=files, once=once
            )
        )
        self._attached = []

    def _branch(self) -> None:
        copy = self._opened_already()
        if copy.about is None or not copy.about.head:
            raise UserError("there is nothing yet to branch from")
        key, head = copy.key, copy.about.head
        (about,) = self._link.ask(lambda id: BranchConversation(id=id, conversation=key, turn=head))
        assert isinstance(about, About)
        self._watch(about.conversation.conversation)
        self.remark("a copy of the conversation is open; the other one stays as it is")

    def _rename(self, title: str) -> None:
        self._title = title
        self._change(lambda id, key: ChangeConversation(id=id, conversation=key, title=title))

    def _set_system(self, system: str) -> None:
        chat_text.check_system(system)
        self._system = system or None
        self._change(lambda id, key: ChangeConversation(id=id, conversation=key, system=system))
        self.remark("the system prompt holds from the next answer on")

    def _change(self, request: Callable[[str, str], ChatRequest]) -> None:
        """Change the conversation that is open; one that is not begun yet gets it later."""
        if self._copy is not None:
            key = self._copy.key
            self._link.ask(lambda id: request(id, key))

    def _attach(self, argument: str) -> None:
        place = chat_commands.place(argument)
        text = chat_commands.cut(read(Path(place.file).expanduser()), place)
        file = Attachment(
            name=place.file,
            text=text,
            language=chat_commands.language(place.file),
            first_line=place.first,
        )
        chat_text.check_question("?", [*self._attached, file])
        self._attached = [*self._attached, file]
        self.remark(f"{chat_text.place(file)} is read with your next question")

    def _export(self, file: Path) -> None:
        key = self._opened_already().key
        form: Format = "json" if file.suffix == ".json" else "markdown"
        text = exported(
            self._link.ask(lambda id: ExportConversation(id=id, conversation=key, format=form))
        )
        try:
            with file.open("x", encoding="utf-8") as opened:
                opened.write(text)
        except OSError as exc:
            raise UserError(f"{file}: cannot be written: {exc.strerror}") from exc
        self.remark(f"written to {file}")

    def _delete(self, argument: str) -> None:
        key = self._numbered(argument).conversation if argument else self._opened_already().key
        if self._copy is not None and self._copy.key == key:
            self._link.leave()
            self._begin_anew("")
        self._link.ask(lambda id: DeleteConversation(id=id, conversation=key))
        self._listed = []
        self.remark("deleted")

    def remark(self, text: str) -> None:
        """Tell something that is no part of an answer."""
        self._aside.print(Text(text, style="dim"), soft_wrap=True)


def _title(about: Summary) -> str:
    return printable(about.title) or "(no title)"


def exported(answers: Sequence[Heard]) -> str:
    """Return an exported text, its pieces joined."""
    return "".join(answer.text for answer in answers if isinstance(answer, Exported))


def last_lines(progress: Progress, console: Console) -> Text:
    """Return as much of the end of the answer as fits the screen, what may change dimmed."""
    text = Text(printable(progress.text))
    text.stylize("dim", progress.sure)
    # A terminal echoes Ctrl-C: on a line that is full, that would begin another one.
    lines = text.wrap(console, max(1, console.width - len("^C")))
    return Text("\n").join(lines[-max(1, console.height - 2) :])


def converse(talk: Talk, read_line: ReadLine) -> None:
    """Take line after line until the end of input; what fails does not end it."""
    talk.remark("Ctrl-C stops an answer, Ctrl-D leaves, /help names the commands")
    while True:
        try:
            meant = chat_commands.parse(read_line(PROMPT, ""))
            match meant:
                case Question(text=text):
                    talk.ask(text)
                case Command(name="quit"):
                    return
                case Command():
                    talk.do(meant, read_line)
        except KeyboardInterrupt:
            talk.remark("")  # the line that was being typed is given up
        except EOFError:
            talk.remark("")
            return
        except DgemmaError as exc:
            talk.remark(f"dgemma: {exc}")
