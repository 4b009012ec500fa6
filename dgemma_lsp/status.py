"""How completion is, in one line for a person: what is known -> state and text. Pure."""

from typing import Literal, assert_never

from msgspec import Struct

from dgemma_lsp.wire import ModelState

DOCTOR = "`dgemma doctor`"

State = Literal["starting", "loading", "ready", "busy", "paused", "error"]


class Status(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an editor shows; `progress` is 0 to 100 where loading tells how far it is."""

    state: State
    text: str
    progress: int | None = None
    model: str | None = None


class Condition(Struct, kw_only=True):
    """What is known of daemon and model; `error` is what keeps both from working, "" for nothing.

    `progress` is how much of the model is loaded, in percent, where that is known. `asked` counts
    the requests that the model has not answered yet. `resume` is what the person would use.
    """

    model: str
    paused: bool = False
    linked: bool = False
    loading: ModelState = "loading"
    progress: int | None = None
    error: str = ""
    asked: int = 0
    resume: str = "dgemma.resume"

    @property
    def status(self) -> Status:
        """What to show; what a person has to act on goes first."""
        if self.paused:
            return self._is("paused", f"paused: {self.resume} brings completions back")
        if self.error:
            more = "" if DOCTOR in self.error else f"; {DOCTOR} tells more"
            return self._is("error", self.error + more)
        if not self.linked:
            return self._is("starting", "the daemon is being started")
        match self.loading:
            case "loading":
                return self._is("loading", f"{self.model} is being loaded", self.progress)
            case "restarting":
                text = f"{self.model} is being loaded again after it crashed"
                return self._is("loading", text, self.progress)
            case "failed":
                return self._is(
                    "error", f"{self.model} cannot be loaded; `dgemma doctor` tells why"
                )
            case "ready" | "asleep":
                if self.asked:
                    return self._is("busy", f"{self.model} is writing")
                return self._is("ready", f"{self.model} is ready")
            case _:
                assert_never(self.loading)

    def _is(self, state: State, text: str, progress: int | None = None) -> Status:
        return Status(state=state, text=text, progress=progress, model=self.model)
