"""The running daemon as a person sees it: how it is, and ending it. Nothing is started here."""

from contextlib import aclosing

import msgspec
from filelock import FileLock, Timeout

from dgemma_lsp import client, wire
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.errors import DaemonUnavailable, DgemmaError

STOP_S = 30.0


async def report(config: Config, paths: Paths) -> wire.Report | None:
    """Return how the daemon is; None where none runs."""
    try:
        link = await client.connect(config, paths, start=False)
    except DaemonUnavailable:
        return None
    try:
        return await ask_report(link)
    finally:
        await link.close()


async def ask_report(link: client.Link) -> wire.Report:
    """Ask over an open connection; raises what `Link.request` raises."""
    report: wire.Report | None = None
    async with aclosing(link.request(wire.Status(id="status"))) as answers:
        # To its end: what is left of it would be taken for the answer of the next one.
        async for message in answers:
            if isinstance(message, wire.Report):
                report = message
    if report is None:
        raise DgemmaError("the daemon answered without a report; run `dgemma stop` and try again")
    return report


async def stop(config: Config, paths: Paths) -> bool:
    """End the daemon and return when it is gone; False where none runs.

    Raises DgemmaError if it still holds its lock after `STOP_S` seconds.
    """
    try:
        link = await client.connect(config, paths, start=False)
    except DaemonUnavailable:
        return False
    try:
        async with aclosing(link.request(wire.Stop(id="stop"))) as answers:
            async for _ in answers:
                pass
    finally:
        await link.close()
    # The lock is the last thing that a daemon lets go of.
    try:
        with FileLock(paths.lock, mode=0o600, timeout=STOP_S):
            return True
    except Timeout as exc:
        raise DgemmaError(
            f"the daemon still holds {paths.lock} after {STOP_S:.0f} s; see {paths.log}"
        ) from exc


def fields(report: wire.Report | None) -> dict[str, object]:
    """Return the report for a program: `running` tells whether there is a daemon."""
    if report is None:
        return {"running": False}
    values = msgspec.structs.asdict(report)
    del values["id"]
    counts = ("running", "queued", "completed", "failed", "withdrawn", "steps", "withdrawn_steps")
    requests = {name: values.pop(name) for name in counts}
    return {"running": True, **values, "requests": requests}


def lines(report: wire.Report) -> list[str]:
    """Return the report as aligned lines for a person."""
    uptime = duration(report.uptime_s)
    idle = f", ends after {report.idle_minutes:g} idle minutes" if report.idle_minutes else ""
    model = f"{report.model}, {how_far(report)}"
    model += f" on {report.device}" if report.device else ""
    model += f" (process {report.model_pid})" if report.model_pid else ""
    rows = {
        "daemon": f"running for {uptime} (process {report.pid}, version {report.version}){idle}",
        "model": model,
        "detail": report.detail,
        "restarts": str(report.restarts) if report.restarts else "",
        "chat": f"ws://127.0.0.1:{report.port}" if report.port else "",
        "requests": f"{report.running} running, {report.queued} queued, "
        f"{report.completed} completed, {report.failed} failed, {report.withdrawn} withdrawn",
        "steps": f"{report.steps}, {report.withdrawn_steps} of them for withdrawn requests",
    }
    return [f"{name:<9} {text}" for name, text in rows.items() if text]


def how_far(report: wire.Report) -> str:
    """Return the model's state, and how much of it is loaded where that is known."""
    loaded = "" if report.progress is None else f" ({report.progress} %)"
    return f"{report.state}{loaded}"


def duration(seconds: float) -> str:
    """Return seconds as the largest two units that a person reads at a glance."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
