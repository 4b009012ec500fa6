"""The command line: the only reader of argv and environment. What a command does lives elsewhere.

Every error is one line on stderr. Exit codes: 0 well, 1 the daemon or the model failed, 2 what was
typed or configured is wrong, 3 `status` found no daemon, 4 `write` leaves the text as it is, 130
interrupted.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from dgemma_lsp import __version__, settings, wire
from dgemma_lsp.config import Config
from dgemma_lsp.errors import DgemmaError, InvalidRequest, UserError
from dgemma_lsp.settings import Common

NO_DAEMON, UNCHANGED = 3, 4

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; always raises SystemExit with one of the codes above."""
    try:
        code = dgemma.main(args=argv, prog_name="dgemma", standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as exc:
        code = _complain(exc.format_message(), 2)
    except (UserError, InvalidRequest) as exc:
        code = _complain(str(exc), 2)
    except DgemmaError as exc:
        code = _complain(str(exc), 1)
    sys.exit(code)


def _complain(message: str, code: int) -> int:
    click.echo(f"dgemma: {' '.join(message.split())}", err=True)
    return code


# -- options and settings ------------------------------------------------------------------------


def _remember(ctx: click.Context, param: click.Parameter, value: object) -> None:
    if value is not None and param.name:
        setattr(ctx.ensure_object(Common), param.name, value)


def common(function: AnyFunction) -> AnyFunction:
    """Add the options of `Common` to a command."""
    model = click.option(
        "--model",
        metavar="NAME_OR_PATH",
        expose_value=False,
        callback=_remember,
        help="nano (built in), a folder with a checkpoint, or a hub id owner/name.",
    )
    quantize = click.option(
        "--quantize",
        type=click.Choice(["4bit", "8bit"]),
        expose_value=False,
        callback=_remember,
        help="Pack the model's weights while loading.",
    )
    config_file = click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        expose_value=False,
        callback=_remember,
        help="Configuration file (TOML) instead of the user's own.",
    )
    return config_file(quantize(model(function)))


def spin_briefly() -> None:
    """Let the threads of a model started from here wait for each other as suits a busy machine.

    Spinning for as long as GNU's OpenMP does makes a step ten times slower as soon as anything
    else runs; not spinning at all nearly doubles it where nothing does.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def note(text: str) -> None:
    """Tell a person at a terminal something that is no part of the output."""
    if sys.stderr.isatty():
        click.secho(text, dim=True, err=True)


# -- commands ------------------------------------------------------------------------------------


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="dgemma %(version)s")
@common
@click.pass_context
def dgemma(ctx: click.Context) -> None:
    """Code completion and chat from a text diffusion model on your own machine."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


steps_option = click.option(
    "--steps", type=click.IntRange(1, 1024), help="At most so many denoising steps."
)
seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="The same seed gives the same text."
)


@dgemma.command()
@common
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--line", type=int, required=True, help="Line of the cursor, from 1.")
@click.option("--column", type=int, required=True, help="Characters before the cursor, from 0.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@steps_option
@click.option("--candidates", type=click.IntRange(1, 16), default=1, show_default=True)
@click.option(
    "--deadline-ms",
    type=click.IntRange(1, 3_600_000),
    help="Answer after so long with what is certain; without it, when the text is finished.",
)
@seed_option
@click.pass_context
def complete(
    ctx: click.Context,
    file: Path,
    line: int,
    column: int,
    as_json: bool,
    steps: int | None,
    candidates: int,
    deadline_ms: int | None,
    seed: int | None,
) -> None:
    """Print what the model writes at a place of FILE.

    Several candidates are separated by a line `--- candidate 2 ---`.
    """
    from dgemma_lsp import at_cursor, linking, project

    found = settings.read_startable(ctx.ensure_object(Common))
    options = found.config.completion
    text = at_cursor.read(file)
    cursor = at_cursor.offset(file, text, line, column)
    request = at_cursor.request(
        file,
        text,
        cursor,
        options,
        candidates=candidates,
        deadline_ms=deadline_ms,
        sampling=wire.Sampling(max_steps=steps, seed=seed),
        others=project.beside(file.absolute(), options.copied_files),
    )
    answer, model = asyncio.run(linking.ask(found, request))
    result = at_cursor.insertion(answer, request, text, cursor, options, model)
    if as_json:
        click.echo(msgspec.json.encode(result))
    elif result.candidates:
        click.echo(at_cursor.plain(result.candidates))
    if not result.candidates:
        click.echo(at_cursor.why_empty(answer, request, text, cursor, options), err=True)


@dgemma.command()
@common
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--fix", "act", flag_value="fix", help="Put the files right.")
@click.option("--diff", "act", flag_value="diff", help="Print what would be changed.")
@click.option("--alone", is_flag=True, help="Ask no model: quicker, and finds less.")
@click.pass_context
def proofread(ctx: click.Context, files: tuple[Path, ...], act: str | None, alone: bool) -> None:
    """Tell what is wrong in the English of FILES; exit code 1 where anything is."""
    from dgemma_lsp import proofread as command

    found = settings.read_startable(ctx.ensure_object(Common))
    reports = asyncio.run(command.check(files, found, alone=alone))
    for report in reports:
        if act == "diff":
            click.echo(report.diff(), nl=False)
        else:
            for line in report.lines():
                click.echo(line)
        if act == "fix" and report.found:
            report.write()
    if any(report.found for report in reports):
        ctx.exit(1)


@dgemma.command()
@common
@click.option("--plain", is_flag=True, help="No colours and no drafts, as into a pipe.")
@steps_option
@seed_option
@click.pass_context
def demo(ctx: click.Context, plain: bool, steps: int | None, seed: int | None) -> None:
    """Watch the model fill the holes of a file."""
    from rich.console import Console

    from dgemma_lsp import demo as show
    from dgemma_lsp import linking

    found = settings.read_startable(ctx.ensure_object(Common))
    console = Console()
    plain = plain or not sys.stdout.isatty() or console.is_dumb_terminal
    sampling = wire.Sampling(max_steps=steps, seed=seed)

    async def run() -> None:
        async with linking.daemon_link(found) as link:
            scenes = show.play(link, found.config, sampling)
            if plain:
                await show.show_plain(scenes, link.welcome.model)
            else:
                await show.show_live(scenes, console, link.welcome.model)

    asyncio.run(run())


class BenchGroup(click.Group):
    """A group whose name alone means its command `sampler`, with that command's options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command's name in where none is given."""
        if not args or args[0] not in [*self.commands, *ctx.help_option_names]:
            args = ["sampler", *args]
        return super().parse_args(ctx, args)


@dgemma.group(cls=BenchGroup)
def bench() -> None:
    """Measure how fast and how good it is; without a command: `sampler`."""


@bench.command()
@common
@click.option("--quick", is_flag=True, help="Fewer repeats: under two minutes on two quiet cores.")
@click.option(
    "--json",
    "out",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write all figures there.",
)
@click.option("--only", metavar="SECTION", multiple=True, help="This table; again for another.")
@click.option("--shape", metavar="NAME", default="26b-a4b", help="The full size; tiny for a CPU.")
@click.option(
    "--holes",
    "places",
    metavar="PLACE",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Cut holes into the Python files there, which the model must never have read.",
)
@click.pass_context
def sampler(
    ctx: click.Context,
    quick: bool,
    out: Path | None,
    only: tuple[str, ...],
    shape: str,
    places: tuple[Path, ...],
) -> int:
    """Measure the sampler beside transformers and beside one token at a time.

    It runs in a process of its own, without a daemon. The tables: loop, keystroke, autoregress,
    editors, holes, retraction, full-size.
    """
    from dgemma_lsp import bench as benchmark

    model = settings.read_startable(ctx.ensure_object(Common)).config.model
    command = [sys.executable, "-m", "sampler.bench", "--shape", shape]
    command += ["--model", model.name, "--device", model.device, "--dtype", model.dtype]
    command += ["--quantize", model.quantize, "--threads", str(model.threads)]
    command += ["--short-tokens", str(model.short_tokens), *(["--quick"] if quick else [])]
    command += [part for name in only for part in ("--only", name)]
    command += ["--json", str(out)] if out else []
    lines = benchmark.one_and_several_lines(places) if places else None
    command += [] if lines is None else ["--holes", "-"]
    spin_briefly()
    return subprocess.run(command, input=lines, check=False).returncode


@bench.command("holes")
@common
@click.argument("place", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--holes", type=click.IntRange(2, 100_000), default=100, show_default=True)
@click.option("--lines", type=click.IntRange(1, 100), default=1, help="Lines of each hole.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@steps_option
@seed_option
@click.pass_context
def fill_holes(
    ctx: click.Context,
    place: tuple[Path, ...],
    holes: int,
    lines: int,
    as_json: bool,
    steps: int | None,
    seed: int | None,
) -> None:
    """Cut lines out of Python files, fill them again and count what is right.

    PLACE is a file or a folder; `--seed` draws other holes.
    """
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from dgemma_lsp import bench as benchmark
    from dgemma_lsp import linking

    found = settings.read_startable(ctx.ensure_object(Common))
    cuts = benchmark.cut(benchmark.python_files(place), count=holes, lines=lines, seed=seed or 0)
    screen = Console(stderr=True)

    async def run() -> benchmark.Summary:
        async with linking.daemon_link(found) as link:
            sampling = wire.Sampling(max_steps=steps)
            # One hole more at the start, uncounted: the first answer waits for the model to load.
            filling = benchmark.run(link, [cuts[0], *cuts], found.config.completion, sampling)
            await anext(filling)
            outcomes = []
            for _ in track(cuts, "filling holes", console=screen, disable=not screen.is_terminal):
                outcomes.append(await anext(filling))
            return benchmark.summarise(link.welcome.model, outcomes)

    summary = asyncio.run(run())
    if as_json:
        click.echo(msgspec.json.encode(summary))
        return
    table = Table(show_header=False, box=None)
    for row in benchmark.rows(summary):
        table.add_row(*row)
    Console().print(table)


@bench.command("replay")
@common
@click.argument("old", default="structlog==25.5.0")
@click.argument("new", default="structlog==26.1.0")
@click.option("--characters", type=click.IntRange(50, 1_000_000), default=700, show_default=True)
@click.option("--way", "only", metavar="WAY", multiple=True, help="This way; again for another.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@seed_option
@click.pass_context
def type_again(
    ctx: click.Context,
    old: str,
    new: str,
    characters: int,
    only: tuple[str, ...],
    as_json: bool,
    seed: int | None,
) -> None:
    """Type again what changed between two states of a project, at a person's speed.

    OLD and NEW are folders or pinned packages, which pip fetches. The shipped language server is
    asked after every key; its daemon is one of its own. With and without cache and prefetch, it
    takes about three minutes each for 700 characters.
    """
    from rich.console import Console

    from dgemma_lsp import replay, replay_figures

    found = settings.read_startable(ctx.ensure_object(Common))
    spin_briefly()
    ways = replay.run(
        (old, new), found.config, os.environ, characters=characters, ways=only, seed=seed or 0
    )
    if as_json:
        click.echo(msgspec.json.encode(list(ways)))
    else:
        # Into a file the table needs no screen's width.
        console = Console(width=None if sys.stdout.isatty() else 120)
        console.print(replay_figures.table(list(ways), f"From {old} to {new}"))


@dgemma.command()
@common
@click.argument("place", type=click.Path(path_type=Path), nargs=-1)
@click.option(
    "--cases",
    metavar="FILE.jsonl",
    type=click.Path(path_type=Path),
    help="Holes of your own instead: lines of prefix, middle, suffix and path.",
)
@click.option("--holes", type=click.IntRange(4, 100_000), default=60, show_default=True)
@click.option(
    "--steps",
    type=click.IntRange(1, 1024),
    multiple=True,
    help="A step count to try; again for another. By default 1, 2, 4 ... 32.",
)
@click.option(
    "--margin",
    type=click.FloatRange(0, 100),
    default=1.0,
    show_default=True,
    help="How many points of similarity fewer steps may cost.",
)
@click.option("--write", is_flag=True, help="Set the chosen number in your configuration file.")
@click.option("--png", metavar="FILE", type=click.Path(path_type=Path), help="Draw the plot there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@seed_option
@click.pass_context
def tune(
    ctx: click.Context,
    place: tuple[Path, ...],
    cases: Path | None,
    holes: int,
    steps: tuple[int, ...],
    margin: float,
    write: bool,
    png: Path | None,
    as_json: bool,
    seed: int | None,
) -> None:
    """Find out how many denoising steps your own code needs.

    PLACE is a Python file or a folder; `--seed` draws other holes.
    """
    from rich.console import Console
    from rich.progress import track

    from dgemma_lsp import linking, tune_plot
    from dgemma_lsp import tune as tuning

    if bool(place) == bool(cases):
        raise click.UsageError("give files or folders to cut holes into, or --cases FILE.jsonl")
    if png:
        tune_plot.check_png(png)
    found = settings.read_startable(ctx.ensure_object(Common))
    given = tuning.read_cases(cases) if cases else tuning.cut(place, holes, seed or 0)
    counts = sorted(set(steps or tuning.STEPS))
    screen = Console(stderr=True)

    async def run() -> tuning.Tuning:
        async with linking.daemon_link(found) as link:
            options = found.config.completion
            filling = tuning.run(link, given, counts, options, seed or 0)
            outcomes = []
            for _ in track(given, "filling holes", console=screen, disable=not screen.is_terminal):
                outcomes.append(await anext(filling))
            return tuning.weigh(link.welcome.model, given, outcomes, margin)

    result = asyncio.run(run())
    if png:
        tune_plot.png(result, png)
    wrote = tuning.write_steps(found.paths.config_file, result.chosen) if write else ""
    if as_json:
        click.echo(msgspec.json.encode(result))
        return
    # Into a file the table needs no screen's width.
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(tune_plot.table(result))
    click.echo(tune_plot.terminal(result, console.width))
    click.echo(tuning.told(result))
    click.echo(wrote or "--write sets this in your configuration")


@dgemma.command()
@common
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> int:
    """Tell how the daemon and the model are.

    It starts nothing. Exit code 3 where no daemon runs; with --json 0, and {"running": false}.
    """
    from dgemma_lsp import control

    found = settings.read(ctx.ensure_object(Common))
    report = asyncio.run(control.report(found.config, found.paths))
    if as_json:
        click.echo(msgspec.json.encode(control.fields(report)))
        return 0
    click.echo("\n".join(control.lines(report)) if report else "no daemon is running")
    return 0 if report else NO_DAEMON


@dgemma.command()
@common
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_context
def stats(ctx: click.Context, as_json: bool) -> None:
    """Tell what became of the suggestions in your editors.

    Shown, accepted (those typed key by key among them), taken in part, dismissed, ignored; how much
    of what was taken still stood half a minute and five minutes later; milliseconds from the
    editor's question to the answer; denoising steps. The log stays on this machine.
    """
    from rich.console import Console

    from dgemma_lsp import stats as outcome
    from dgemma_lsp.outcome_log import OutcomeLog

    found = settings.read(ctx.ensure_object(Common))
    figures = outcome.figures(OutcomeLog(found.paths.outcomes).read())
    if as_json:
        click.echo(msgspec.json.encode(figures))
    elif figures:
        Console().print(outcome.table(figures))
    else:
        click.echo(f"no suggestions are recorded yet in {found.paths.outcomes}")


@dgemma.command("open")
@common
@click.option("--link", "only_link", is_flag=True, help="Print the link, and open no browser.")
@click.pass_context
def open_in_browser(ctx: click.Context, only_link: bool) -> None:
    """Open the page: chat and a writing desk, in your browser.

    The link works once, within a minute; the page then stays signed in.
    """
    from dgemma_lsp import linking, open_page

    found = settings.read_startable(ctx.ensure_object(Common))
    linking.ensure_daemon(found)
    link = open_page.new_link(found.paths)
    if only_link:
        click.echo(link)
    elif not open_page.show(link):
        click.echo(f"no browser is found here; open this link within a minute:\n{link}")


@dgemma.command()
@common
@click.pass_context
def stop(ctx: click.Context) -> None:
    """End the daemon; requests in flight fail."""
    from dgemma_lsp import control

    found = settings.read(ctx.ensure_object(Common))
    stopped = asyncio.run(control.stop(found.config, found.paths))
    click.echo("the daemon is stopped" if stopped else "no daemon is running")


@dgemma.command()
@common
@click.pass_context
def doctor(ctx: click.Context) -> int:
    """Tell what is found, what is missing and how to mend it.

    A daemon is started if none runs. Exit code 1 if completions would not work.
    """
    from dgemma_lsp import doctor as examination

    chosen = ctx.ensure_object(Common)
    paths = settings.find_paths(chosen.config_file)
    problem = None
    try:
        loaded = settings.load_config(chosen, paths)
    except UserError as exc:
        loaded, problem = settings.lay_model(Config(), chosen), str(exc)

    async def run() -> bool:
        works = True
        async for finding in examination.examine(
            loaded, paths, config_problem=problem, model_given=chosen.model is not None
        ):
            works &= finding.level != "bad"
            colour = {"ok": "green", "note": "yellow", "bad": "red"}[finding.level]
            level = click.style(f"{finding.level:<5}", fg=colour, bold=True)
            click.echo(f"{level} {finding.subject:<13} {' '.join(finding.text.split())}")
            if finding.mend:
                click.echo(f"{'':<19} -> {finding.mend}")
        return works

    return 0 if asyncio.run(run()) else 1


@dgemma.command()
@common
@click.argument("text", required=False)
@click.option("--continue", "going_on", is_flag=True, help="Go on with the last conversation.")
@click.pass_context
def chat(ctx: click.Context, text: str | None, going_on: bool) -> None:
    """Talk with the model in the terminal.

    Conversations are kept; /help names the commands. Ctrl-C stops an answer, Ctrl-D leaves. With
    TEXT, or text piped in, it prints one answer; stdin is not read where TEXT is given.
    """
    from rich.console import Console

    from dgemma_lsp import chat_link, linking, terminal_chat

    found = settings.read_startable(ctx.ensure_object(Common))
    interactive = text is None and sys.stdin.isatty()
    question = "" if interactive else _question(text)
    link = chat_link.ChatLink(found.paths, partial(linking.ensure_daemon, found))
    with closing(link):
        talk = terminal_chat.Talk(link, Console(), Console(stderr=True))
        talk.introduce(going_on=going_on, at_length=interactive)
        if interactive:
            from dgemma_lsp.chat_prompt import LinePrompt

            terminal_chat.converse(talk, LinePrompt(found.paths.chat_history))
        else:
            talk.ask(question)


def _question(text: str | None) -> str:
    """Return TEXT, or else what stands on stdin; raises UserError where that is no question."""
    data = sys.stdin.buffer.read() if text is None else os.fsencode(text)
    try:
        question = data.decode()
    except UnicodeDecodeError as exc:
        raise UserError(f"the question is not UTF-8: byte 0x{data[exc.start]:02x}") from exc
    if not question.strip():
        raise UserError("nothing to ask: give TEXT, or text on stdin")
    return question


@dgemma.command()
@common
@click.argument("source", metavar="IN.jsonl", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT.jsonl", type=click.Path(path_type=Path))
@click.option("--restart", is_flag=True, help="Begin anew, and replace the output that is there.")
@click.option(
    "--max-tokens",
    type=click.IntRange(1, 65536),
    help="At most so many tokens in each text that is no hole.",
)
@steps_option
@seed_option
@click.pass_context
def batch(
    ctx: click.Context,
    source: Path,
    out: Path,
    restart: bool,
    max_tokens: int | None,
    steps: int | None,
    seed: int | None,
) -> int:
    """Answer every line of IN.jsonl, many at once, in OUT.jsonl.

    A line is a JSON object with a `prompt` to continue, with `messages` to answer, or with `prefix`
    and `suffix` of a hole; its own `sampling` goes before the options here. After an interruption
    the same command goes on. Exit code 1 where lines failed: they stand in OUT.errors.jsonl.
    """
    from rich.console import Console

    from dgemma_lsp import batch as lines
    from dgemma_lsp.batch_progress import Screen

    found = settings.read_startable(ctx.ensure_object(Common))
    sampling = wire.Sampling(max_steps=steps, max_tokens=max_tokens, seed=seed)
    work = lines.Batch(source, out, sampling, restart=restart)
    with work.journal:
        if work.journal:
            note(f"going on: {len(work.journal)} of {len(work)} lines are done already")
        try:
            asyncio.run(work.run(found, Screen(Console(stderr=True), len(work))))
        except KeyboardInterrupt:
            return _complain(f"interrupted; {work.how_to_go_on()}", 130)
    click.echo(work.told())
    return 1 if work.journal.failed else 0


@dgemma.command()
def schema() -> None:
    """Print the JSON Schema of the chat endpoint's frames."""
    from dgemma_lsp import wire_schema

    click.echo(msgspec.json.format(msgspec.json.encode(wire_schema.schema())))


@dgemma.command()
@common
@click.argument("file", metavar="FILE|-", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--mode", required=True, help="What is to be done; an unknown one names all.")
@click.option("--instruction", default="", help="What is to be done, in your words (custom).")
@click.option("--to", default="", metavar="LANGUAGE", help="Into which language (translate).")
@click.option("--problem", default="", help="What is wrong (fix).")
@click.option("--lines", metavar="A:B", help="These lines only, from 1.")
@click.option("--keep", multiple=True, metavar="TEXT", help="Must stay; again for another.")
@click.option("--language", metavar="NAME", help="markdown, plaintext, python ...; else by FILE.")
@click.option("--strength", type=click.FloatRange(0, 1), help="0.1: a touch-up, 1: all anew.")
@click.option("--length", type=click.IntRange(1, 100_000), help="How many words to aim at.")
@click.option("--variants", type=click.IntRange(1, 16), default=1, show_default=True)
@click.option("--diff", is_flag=True, help="Print a unified diff.")
@click.option("--in-place", is_flag=True, help="Put the new text in the file's place.")
@steps_option
@seed_option
@click.pass_context
def write(
    ctx: click.Context,
    file: Path,
    mode: str,
    instruction: str,
    to: str,
    problem: str,
    lines: str | None,
    keep: tuple[str, ...],
    language: str | None,
    strength: float | None,
    length: int | None,
    variants: int,
    diff: bool,
    in_place: bool,
    steps: int | None,
    seed: int | None,
) -> int:
    """Rewrite FILE, or what stands on stdin, and print the result.

    Code, links, numbers, names and the structure of Markdown stay as they are. Exit code 4 where
    the text stays as it is.
    """
    from dgemma_lsp import languages, write_file
    from dgemma_lsp.modes import ANSWERS, Task

    if in_place and (diff or variants > 1 or file == write_file.STDIN or mode in ANSWERS):
        raise click.UsageError(
            "--in-place takes a FILE, one variant, and neither --diff nor explain"
        )
    found = settings.read_startable(ctx.ensure_object(Common))
    text = write_file.read(file, sys.stdin.buffer)
    start, end = write_file.selection(text, lines)
    task = Task(
        mode=mode,
        text=text,
        start=start,
        end=end,
        language=language or languages.language(file) or "plaintext",
        instruction=instruction,
        to=to,
        problem=problem,
        strength=strength,
        length=length,
        keep=keep,
    )
    sampling = wire.Sampling(max_steps=steps, seed=seed)
    written = asyncio.run(write_file.write(found, task, variants, sampling))
    texts = [write_file.result(task, one) for one in written if one.edits or one.told]
    if not texts:
        note(write_file.why_unchanged(task, written))
        return UNCHANGED
    if in_place:
        write_file.replace_file(file, texts[0])
        return 0
    shown = [write_file.diff(file, text, new) for new in texts] if diff else texts
    click.echo(write_file.printed(shown), nl=False)
    return 0


@dgemma.command()
@common
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the chat endpoint.")
@click.option(
    "--idle-minutes",
    type=click.FloatRange(0, 100_000, min_open=True),
    help="Go down after so long without a request.",
)
@click.pass_context
def daemon(ctx: click.Context, port: int | None, idle_minutes: float | None) -> None:
    """Run the daemon here, with its log on stderr."""
    from dgemma_lsp import daemon as process

    found, problems = settings.read_serving(ctx.ensure_object(Common))
    for problem in problems:
        click.echo(f"dgemma: {problem}", err=True)
    spin_briefly()
    given = {"port": port, "idle_minutes": idle_minutes}
    values = {name: value for name, value in given.items() if value is not None}
    process.run(settings.with_values(found.config, "daemon", **values), found.paths)


@dgemma.command()
@common
@click.pass_context
def lsp(ctx: click.Context) -> None:
    """Serve an editor on stdin and stdout (LSP)."""
    from dgemma_lsp import server

    found, problems = settings.read_serving(ctx.ensure_object(Common))
    server.run(found.config, found.paths, problems)
