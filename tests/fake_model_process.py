"""A model process without a model, for tests: the real pipe, and answers scripted by the request.

The script is the prefix of a completion, the last turn of a chat or the text to continue, one
command a line:

    /echo TEXT     a block with TEXT        /drafts N    N drafts of "abc...", growing stable
    /job           a block with the job as the process got it, in JSON
    /fail TEXT     fail with TEXT           /hang        wait until cancelled, or freed by /free
    /free          end every job that hangs /deaf        wait for ever, ignoring Cancel
    /crash         die with exit code 3     /garbage     write what is no frame
    /holds N       fail where the turns of a chat have more than N characters

Any other script is a block with the script itself. A job ends in Done after its last line. The
model's name scripts the loading: "fake" is ready at once; "fake-unusable" never will be;
"fake-crash" dies; "fake-waits:FIFO" says 45 % and loads until something is written to FIFO;
"fake-stubborn:FILE" is ready, writes its process id to FILE and ignores the end of its input and
SIGTERM.
"""

import os
import signal
import string
import sys
import time
from pathlib import Path

import msgspec

from dgemma_lsp import wire
from dgemma_lsp.config import Config

COMMAND = [sys.executable, __file__]

HANGING: dict[str, bool] = {}  # id -> whether it listens to Cancel


def read_frame() -> bytes | None:
    head = sys.stdin.buffer.read(4)
    return sys.stdin.buffer.read(int.from_bytes(head, "big")) if len(head) == 4 else None


def write(message: wire.FromModel) -> None:
    payload = wire.encode_binary(message)
    sys.stdout.buffer.write(len(payload).to_bytes(4, "big") + payload)
    sys.stdout.buffer.flush()


def load(name: str) -> None:
    kind, _, file = name.partition(":")
    if kind == "fake-unusable":
        write(wire.Unusable(code="model_unavailable", message=f"{name}: no such model"))
        sys.exit(1)
    if kind == "fake-crash":
        os._exit(3)
    if kind == "fake-waits":
        write(wire.Loading(progress=45))
        Path(file).read_bytes()
    if kind == "fake-stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Path(file).write_text(str(os.getpid()))
    write(wire.Ready(model=name, device="cpu", pid=os.getpid(), load_ms=0.0))


def script_of(job: wire.Job) -> str:
    match job:
        case wire.Complete(prefix=script) | wire.Generate(prompt=script):
            return script
        case wire.Chat(messages=[*_, last]):
            return last.content
        case wire.Rewrite(parts=[first, *_]):
            return first.text
        case wire.Score(texts=[script, *_]):
            return script
    raise AssertionError(job)


def play(job: wire.Job) -> None:
    if isinstance(job, wire.Score) and not script_of(job).startswith("/"):
        lengths = [-float(len(text)) for text in job.texts]
        write(wire.Scores(id=job.id, log_probs=lengths))
        return write(wire.Done(id=job.id, reason="settled"))
    for block, line in enumerate(script_of(job).splitlines()):
        command, _, rest = line.partition(" ")
        match command:
            case "/drafts":
                for step in range(1, int(rest) + 1):
                    text = string.ascii_lowercase
                    if job.drafts:
                        write(wire.Draft(id=job.id, block=block, step=step, text=text, stable=step))
            case "/fail":
                return write(wire.Failed(id=job.id, code="model_failed", message=rest))
            case "/holds":
                assert isinstance(job, wire.Chat)
                if sum(len(turn.content) for turn in job.messages) > int(rest):
                    told = f"it holds {rest} characters"
                    return write(wire.Failed(id=job.id, code="too_large", message=told))
            case "/hang" | "/deaf":
                HANGING[job.id] = command == "/hang"
                return None
            case "/free":
                for id in list(HANGING):
                    del HANGING[id]
                    write(wire.Done(id=id, reason="eos"))
            case "/crash":
                os._exit(3)
            case "/garbage":
                sys.stdout.buffer.write(b"print() in a library\n" * 3)
                sys.stdout.buffer.flush()
            case "/job":
                write(wire.Block(id=job.id, block=block, text=wire.encode_json(job), steps=1))
            case _:
                text = rest if command == "/echo" else line
                write(wire.Block(id=job.id, block=block, text=text, steps=2))
    write(wire.Done(id=job.id, reason="eos", timings=wire.Timings(tokens=5, steps=2)))


def main() -> None:
    config = msgspec.msgpack.decode(read_frame() or b"", type=Config)
    load(config.model.name)
    while (frame := read_frame()) is not None:
        message = wire.decode_to_model(frame)
        if not isinstance(message, wire.Cancel):
            play(message)
        elif HANGING.get(message.id, False):
            del HANGING[message.id]
            write(wire.Failed(id=message.id, code="cancelled", message="cancelled"))
    while config.model.name.startswith("fake-stubborn"):
        time.sleep(60)


if __name__ == "__main__":
    main()
