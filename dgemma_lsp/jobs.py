"""A client's request -> the job that the model gets. Pure: it queues and sends nothing."""

from msgspec.structs import replace

from dgemma_lsp import chat
from dgemma_lsp.config import Config
from dgemma_lsp.wire import Complete, Generate, Job, Rewrite, Score


def for_model(message: Job, key: str, config: Config) -> tuple[Job, str]:
    """Return the request under the id `key`, and a notice where the conversation was cut.

    What the client left open comes from the configuration. A deadline needs drafts to answer with.
    Raises InvalidRequest for turns that make no conversation.
    """
    if isinstance(message, Score):
        return replace(message, id=key), ""
    defaults = config.completion if isinstance(message, Complete) else config.chat
    sampling = message.sampling
    if sampling.max_steps is None and defaults.steps:
        sampling = replace(sampling, max_steps=defaults.steps)
    drafts = message.drafts or message.deadline_ms is not None
    if isinstance(message, Complete | Rewrite):
        return replace(message, id=key, drafts=drafts, sampling=sampling), ""
    if sampling.max_tokens is None:
        sampling = replace(sampling, max_tokens=config.chat.max_tokens)
    if isinstance(message, Generate):
        return replace(message, id=key, drafts=drafts, sampling=sampling), ""
    conversation = chat.prepare(
        message.messages, system=config.chat.system, history_chars=config.chat.history_chars
    )
    job = replace(message, id=key, drafts=drafts, sampling=sampling, messages=conversation.turns)
    return job, conversation.notice
