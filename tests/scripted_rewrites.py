"""A script for the scripted daemon that rewrites: every part that may change in capitals."""

from scripted_daemon import Send

from dgemma_lsp import wire


async def in_capitals(message: wire.Request, send: Send) -> None:
    """Answer a rewriting with capitals, a chat with its question, a completion with its number."""
    match message:
        case wire.Rewrite(parts=parts):
            texts = [part.text if part.kept else part.text.upper() for part in parts]
            for number, text in enumerate(texts):
                await send(wire.Block(id=message.id, block=number, text=text))
        case wire.Chat(messages=[*_, last]):
            await send(wire.Block(id=message.id, block=0, text=last.content))
        case wire.Complete(candidates=candidates):
            for number in range(candidates):
                text = f"text {number}"
                await send(wire.Block(id=message.id, block=0, text=text, candidate=number))
        case _:
            return
    await send(wire.Done(id=message.id, reason="settled", timings=wire.Timings(tokens=1)))
