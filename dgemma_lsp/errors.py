"""The exception tree: error -> wire code -> what the user reads. No handling happens here.

    DgemmaError                 code               ends a request?
    |-- InvalidRequest          invalid_request    yes: the message or a value in it is wrong
    |-- UnsupportedProtocol     protocol           no: the connection is refused
    |-- Unauthorized            unauthorized       no: the connection is refused
    |-- TooLarge                too_large          yes: over a size limit
    |-- NotFound                not_found          yes: there is no such conversation or turn
    |-- Busy                    busy               yes: the queue is full, try again
    |-- Superseded              superseded         yes: a newer completion of the document came
    |-- Cancelled               cancelled          yes: the client took the request back
    |-- StorageFailed           storage_failed     yes: the conversations' file fails
    |-- ModelUnavailable        model_unavailable  yes: the model cannot be loaded
    |-- ModelCrashed            model_crashed      yes: the model process died, and comes back
    |-- ModelFailed             model_failed       yes: the model raised; it goes on
    |-- DaemonUnavailable       daemon_unavailable no: nobody listens and none could be started
    |-- DaemonStopping          stopping           yes: the daemon goes down
    `-- UserError               usage              no: what the person typed or configured is wrong

Every message is one line that shows the bad value and what to do.
"""

from typing import ClassVar


class DgemmaError(Exception):
    """Base of every error that a person or a peer may see; `code` is its name on the wire."""

    code: ClassVar[str] = "internal"


class InvalidRequest(DgemmaError):
    """A message that cannot be decoded, or a value in it that is out of range."""

    code = "invalid_request"


class UnsupportedProtocol(DgemmaError):
    """The peer speaks another version of the protocol."""

    code = "protocol"


class Unauthorized(DgemmaError):
    """A missing or wrong token, or a page from another origin."""

    code = "unauthorized"


class TooLarge(DgemmaError):
    """A frame or a text over its limit."""

    code = "too_large"


class NotFound(DgemmaError):
    """There is no conversation with this key, or no such turn in it."""

    code = "not_found"


class Busy(DgemmaError):
    """The queue is full, or an answer is being written in the conversation."""

    code = "busy"


class Superseded(DgemmaError):
    """A newer completion request of the same document took this one's place."""

    code = "superseded"


class Cancelled(DgemmaError):
    """The client cancelled the request."""

    code = "cancelled"


class StorageFailed(DgemmaError):
    """The conversations cannot be read from or written to the disk."""

    code = "storage_failed"


class ModelUnavailable(DgemmaError):
    """The model cannot be loaded: a wrong name, a folder without weights, too little memory."""

    code = "model_unavailable"


class ModelCrashed(DgemmaError):
    """The model process died with this request in flight."""

    code = "model_crashed"


class ModelFailed(DgemmaError):
    """The model raised an exception for this request; other requests go on."""

    code = "model_failed"


class DaemonUnavailable(DgemmaError):
    """No daemon answers and none could be started."""

    code = "daemon_unavailable"


class DaemonStopping(DgemmaError):
    """The daemon is going down."""

    code = "stopping"


class UserError(DgemmaError):
    """What the person typed or configured is wrong; the command line exits with 2."""

    code = "usage"


def _subclasses(cls: type[DgemmaError]) -> list[type[DgemmaError]]:
    return [cls, *(leaf for child in cls.__subclasses__() for leaf in _subclasses(child))]


BY_CODE: dict[str, type[DgemmaError]] = {cls.code: cls for cls in _subclasses(DgemmaError)}


def from_code(code: str, message: str) -> DgemmaError:
    """Return the exception that stands behind a wire code; an unknown code gives the base class."""
    return BY_CODE.get(code, DgemmaError)(message)
