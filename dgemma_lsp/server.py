"""The language server's process: its handlers put together, how it begins, is set up and ends.

What an editor says of documents and asks for is read in `documents`, `suggesting`, `inline_edit`
and `rewrite_handlers`. stdout is the protocol; the log goes to stderr.
"""

import asyncio
import logging
import sys
from collections.abc import Sequence

from lsprotocol import types as t
from pygls.exceptions import JsonRpcException

from dgemma_lsp import documents, inline_edit, menu, rewrite_handlers, suggesting
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.errors import DgemmaError
from dgemma_lsp.language_server import Server
from dgemma_lsp.overlay import known_sections
from dgemma_lsp.protocol import EditorWorkspace
from dgemma_lsp.quiet import resuming

SETTINGS_S = 2.0  # how long an editor may take to tell its settings

log = logging.getLogger(__name__)


def run(config: Config, paths: Paths, problems: Sequence[str] = ()) -> None:
    """Serve one editor on stdin and stdout until it leaves.

    `problems` are those of the configuration file, for the person to see.
    """
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    build(config, paths, problems).start_io()


def build(config: Config, paths: Paths, problems: Sequence[str] = ()) -> Server:
    """Return the server with its handlers, not yet listening."""
    server = Server(config, paths, problems)
    server.feature(t.INITIALIZE)(initialize)
    server.feature(t.INITIALIZED)(initialized)
    server.feature(t.SHUTDOWN)(shutdown)
    server.feature(t.WORKSPACE_DID_CHANGE_CONFIGURATION)(did_change_configuration)
    server.command("dgemma.pause")(pause)
    server.command("dgemma.resume")(resume)
    server.command("dgemma.restart")(restart)
    documents.register(server)
    suggesting.register(server)
    server.diagnostics.register()
    inline_edit.register(server, server.next_edit)
    rewritings = rewrite_handlers.register(server, server.contact, roots=server.roots)
    kinds = [t.CodeActionKind.QuickFix, t.CodeActionKind.RefactorRewrite]

    @server.feature(t.TEXT_DOCUMENT_CODE_ACTION, t.CodeActionOptions(code_action_kinds=kinds))
    async def code_actions(params: t.CodeActionParams) -> list[t.CodeAction]:
        return [*server.diagnostics.fixes(params), *rewritings(params)]

    return server


# -- from the first message to the last -----------------------------------------------------------


async def initialize(ls: Server, params: t.InitializeParams) -> None:
    """Take the editor's options; pygls answers."""
    base = ls.workspace
    ls.protocol._workspace = EditorWorkspace(
        base.root_uri,
        t.TextDocumentSyncKind.Incremental,
        list(base.folders.values()),
        base.position_encoding,
    )
    ls.resume = resuming(params.client_info.name if params.client_info else "")
    ls.contact.resumed_by(ls.resume)
    ls.set_options("initializationOptions", params.initialization_options)
    if not menu.draws_inline(params.capabilities):
        suggesting.register_menu(ls)


async def initialized(ls: Server, params: t.InitializedParams) -> None:
    """Ask for the editor's settings and find the daemon, before the first key is typed."""
    # Not awaited here: pygls cannot take back a notification's handler when the editor leaves.
    ls.starting = asyncio.create_task(start(ls))


async def did_change_configuration(ls: Server, params: t.DidChangeConfigurationParams) -> None:
    """Go by the editor's settings as they are now."""
    if tells_settings(ls.client_capabilities):
        await pull_settings(ls)
    else:
        settings = params.settings
        ours = settings.get("dgemma", settings) if isinstance(settings, dict) else settings
        ls.set_options("settings", known_sections(ours))
    ls.tell_problems()


async def shutdown(ls: Server, params: None) -> None:
    """Record what is open still."""
    ls.recorder.close()


# -- settings -------------------------------------------------------------------------------------


async def start(ls: Server) -> None:
    """Go by the editor's settings, then make contact with the daemon that they name."""
    if tells_settings(ls.client_capabilities):
        await pull_settings(ls)
    ls.tell_problems()
    ls.contact.begin()
    if registers_settings(ls.client_capabilities):
        registration = t.Registration(
            "dgemma", t.WORKSPACE_DID_CHANGE_CONFIGURATION, {"section": "dgemma"}
        )
        await ls.client_register_capability_async(t.RegistrationParams([registration]))


async def pull_settings(ls: Server) -> None:
    """Ask for the settings; an editor that does not answer keeps nobody waiting."""
    items = [t.ConfigurationItem(section="dgemma")]
    try:
        async with asyncio.timeout(SETTINGS_S):
            answer = await ls.workspace_configuration_async(t.ConfigurationParams(items))
    except (TimeoutError, JsonRpcException) as exc:
        log.warning("the editor tells no settings: %s", exc or "no answer")
        return
    ls.set_options("settings", known_sections(next(iter(answer or []), None)))


def tells_settings(capabilities: t.ClientCapabilities) -> bool:
    """Tell whether the editor can be asked for its settings."""
    return bool(capabilities.workspace and capabilities.workspace.configuration)


def registers_settings(capabilities: t.ClientCapabilities) -> bool:
    """Tell whether the editor wants to be asked to tell of changed settings."""
    change = capabilities.workspace and capabilities.workspace.did_change_configuration
    return bool(change and change.dynamic_registration)


# -- commands -------------------------------------------------------------------------------------


async def pause(ls: Server) -> None:
    """Give no completions until `resume`."""
    ls.completer.pause()
    ls.contact.pause(True)


async def resume(ls: Server) -> None:
    """Give completions again."""
    ls.contact.pause(False)


async def restart(ls: Server) -> None:
    """Start the daemon, and with it the model, anew; other editors wait for it too."""
    try:
        await ls.contact.restart()
    except DgemmaError as exc:
        ls.tell(str(exc))
