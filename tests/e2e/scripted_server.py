"""A language server that answers what a test has written down, and writes down what it is told.

Run as a program it serves one editor on stdio; `Script` is the test's side of it. It suggests the
same texts at every place, so what a plugin does with them shows without any model.
"""

import json
import sys
from pathlib import Path
from typing import Any, BinaryIO

from home import until

Message = dict[str, Any]

COMMANDS = ["dgemma.accepted", "dgemma.pause", "dgemma.resume", "dgemma.restart"]
EXPLANATION = {"reason": "paused", "text": "completion is paused"}


class Script:
    """What the server answers, and what it was told; both are files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = [sys.executable, __file__, str(folder)]
        self.answer()

    def answer(self, *texts: str, hold: bool = False) -> None:
        """Suggest these texts from now on; with `hold`, only once `test/release` is told."""
        script = json.dumps({"texts": texts, "hold": hold})
        new = self.folder / "script.new"
        new.write_text(script)
        new.rename(self.folder / "script.json")

    def told(self, method: str) -> list[Any]:
        """The parameters of every message of this method, in order."""
        log = self.folder / "told.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        messages = [json.loads(line) for line in lines]
        return [message.get("params") for message in messages if message["method"] == method]

    def await_told(self, method: str, count: int = 1) -> list[Any]:
        """Wait until the server was told so often; return the parameters."""
        until(lambda: len(self.told(method)) >= count, f"{count} times {method}", patience_s=20)
        return self.told(method)

    def forget(self) -> None:
        """Begin anew: suggest nothing, and count from zero what is told."""
        (self.folder / "told.jsonl").write_text("")
        self.answer()


def read(stream: BinaryIO) -> Message | None:
    length = 0
    while (line := stream.readline().strip()) or not length:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        elif not line:
            return None
    message: Message = json.loads(stream.read(length))
    return message


def send(message: Message) -> None:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    sys.stdout.buffer.flush()


def items(texts: list[str], position: Message) -> list[Message]:
    """An item for each text at the cursor; its number is its text's place in the list."""
    return [
        {
            "insertText": text,
            "range": {"start": position, "end": position},
            "command": {"title": "", "command": "dgemma.accepted", "arguments": [str(number)]},
        }
        for number, text in enumerate(texts)
    ]


CAPABILITIES = {
    "positionEncoding": "utf-16",
    "textDocumentSync": {"openClose": True, "change": 2},
    "inlineCompletionProvider": {},
    "executeCommandProvider": {"commands": COMMANDS},
}


def respond(message: Message, script: Message) -> Any:
    match message["method"]:
        case "initialize":
            return {"capabilities": CAPABILITIES, "serverInfo": {"name": "s", "version": "1"}}
        case "textDocument/inlineCompletion":
            return items(script["texts"], message["params"]["position"])
        case "dgemma/explain":
            return EXPLANATION
    return None


def main(folder: Path) -> None:
    held: list[tuple[Message, Message]] = []
    with (folder / "told.jsonl").open("a") as log:
        while (message := read(sys.stdin.buffer)) is not None:
            method = message.get("method")
            if method is None:
                continue
            script = json.loads((folder / "script.json").read_text())
            log.write(json.dumps(message) + "\n")
            log.flush()
            if method == "exit":
                return
            if method == "test/send":
                send(message["params"])
            elif method == "test/release":
                for late, its_script in held:
                    send({"id": late["id"], "result": respond(late, its_script)})
                held.clear()
            elif "id" in message and method == "textDocument/inlineCompletion" and script["hold"]:
                held.append((message, script))
            elif "id" in message:
                send({"id": message["id"], "result": respond(message, script)})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
