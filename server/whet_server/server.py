"""The language server: each registration converts in, makes one call, converts out.

Commands only start work; `$/cancelRequest` therefore never stops a run. Nothing long
runs in a handler, and nothing at all in the framework's threads but reading stdin.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, lsp_method
from pygls.uris import to_fs_path

from whet_agent.project import UserError
from whet_agent.version import __version__
from whet_server import commands, features, from_lsp, hover, reporter, to_lsp
from whet_server.documents import Buffer
from whet_server.session import HEAD_S, Session

log = logging.getLogger(__name__)

KINDS = [lsp.CodeActionKind.QuickFix, lsp.CodeActionKind.RefactorRewrite, features.KIND_OTHER]


class WhetProtocol(LanguageServerProtocol):
    """Buffers are ours: the framework's split lines at form feeds and copy whole texts."""

    _server: WhetServer

    @lsp_method(lsp.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: lsp.DidOpenTextDocumentParams) -> None:
        document, session = params.text_document, self._server.session
        path = to_fs_path(document.uri)
        if path is not None:
            session.opened(
                Buffer(
                    uri=document.uri,
                    path=Path(path),
                    version=document.version,
                    text=document.text,
                )
            )

    @lsp_method(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: lsp.DidChangeTextDocumentParams) -> None:
        session = self._server.session
        buffer = session.documents.get(params.text_document.uri)
        if buffer is not None:
            encoding = session.client.capabilities.encoding
            from_lsp.changes(buffer, params.content_changes, encoding)
            buffer.version = params.text_document.version
            session.changed(buffer)

    @lsp_method(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: lsp.DidCloseTextDocumentParams) -> None:
        self._server.session.closed(params.text_document.uri)

    def _send_response(
        self, msg_id: Any, result: Any = None, error: lsp.ResponseError | None = None
    ) -> None:
        """A result goes to JSON directly: through the framework's converter a file of 500
        kernels would cost 15 ms a keystroke."""
        if error is not None:
            super()._send_response(msg_id, result, error)
        else:
            self._send_data({"jsonrpc": self.VERSION, "id": msg_id, "result": result})

    @lsp_method(lsp.EXIT)
    def lsp_exit(self, *_: Any) -> None:  # type: ignore[override]
        """Ends the reading loop; the session is closed after it."""
        self._server.exit_status = 0 if self._shutdown else 1
        self._server.stop.set()


class WhetServer(LanguageServer):
    """Holds the session, which begins with `initialize`."""

    session: Session

    def __init__(self, on_client: Callable[[int], None]) -> None:
        """`on_client` is told the client's process id."""
        super().__init__("whet", __version__, protocol_cls=WhetProtocol, max_workers=1)
        self.on_client = on_client
        self.exit_status = 1
        self.stop = threading.Event()

    def report_server_error(self, error: Exception, source: Any) -> None:
        """To the log alone: a broken message is nothing that a person could mend."""
        if not isinstance(error, Failed):
            log.error("%s: %s", getattr(source, "__name__", source), error)


class Failed(JsonRpcException):
    """A `UserError` on its way to the client: an error whose message is the sentence."""

    CODE = -32803  # RequestFailed: understood, but it cannot be done


def build(on_client: Callable[[int], None]) -> WhetServer:
    """The server with everything registered."""
    server = WhetServer(on_client)
    for name, (handler, options) in FEATURES.items():
        server.feature(name, options)(handler)
    for name, work in COMMANDS.items():
        server.command(name)(_command(work))
    return server


def initialize(ls: WhetServer, params: lsp.InitializeParams) -> None:
    client = to_lsp.Client(ls, from_lsp.capabilities(params.capabilities))
    uris = [folder.uri for folder in params.workspace_folders or []] or [params.root_uri or ""]
    folders = tuple(Path(path) for uri in uris if (path := to_fs_path(uri)))
    options = from_lsp.options(params.initialization_options)
    ls.session = Session(client, folders=folders, options=options)
    if params.process_id is not None:
        ls.on_client(params.process_id)


def code_lens(ls: WhetServer, params: lsp.CodeLensParams) -> list[dict[str, Any]]:
    session = ls.session
    buffer = session.documents.get(params.text_document.uri)
    if buffer is None:
        return []
    session.heads.ask(buffer.path)
    where = session.where(buffer)
    return [
        to_lsp.lens(lens)
        for state in session.states(buffer)
        for lens in features.lenses(state, where)
    ]


async def code_action(
    ls: WhetServer, params: lsp.CodeActionParams
) -> list[lsp.CodeAction | lsp.Command]:
    session = ls.session
    buffer = session.documents.get(params.text_document.uri)
    if buffer is None:
        return []
    if buffer.kernels:
        await session.heads.wait(buffer.path, timeout_s=HEAD_S)
    where, only = session.where(buffer), from_lsp.only(params.context)
    span = from_lsp.span(buffer, params.range, session.client.capabilities.encoding)
    red = [d for d in params.context.diagnostics if d.source == to_lsp.SOURCE]
    return [
        to_lsp.action(action, red, session.client.capabilities)
        for state in session.states(buffer, span)
        for action in features.actions(state, where)
        if features.wants(only, action.kind)
    ]


def resolve(ls: WhetServer, action: lsp.CodeAction) -> lsp.CodeAction:
    """Computes an offer's edit, for the buffer as it is at this moment.

    Editors also ask about actions that hold a command and wait for nothing: those are whole.
    """
    if action.data is None:
        return action
    data = from_lsp.plain(action.data) or {}
    with _failing():
        buffer, change = commands.offer(ls.session, str(data.get("run")), str(data.get("uri")))
    action.edit = to_lsp.workspace_edit(buffer, change.edits, ls.session.client.capabilities)
    return action


async def hovered(ls: WhetServer, params: lsp.HoverParams) -> lsp.Hover | None:
    session = ls.session
    buffer = session.documents.get(params.text_document.uri)
    if buffer is None:
        return None
    place = from_lsp.place(buffer, params.position, session.client.capabilities.encoding)
    state = await session.state_at(buffer, place)
    if state is None:
        return None
    return to_lsp.hover(hover.hover(state, now=time.time()), session.client.capabilities)


def inlay_hint(ls: WhetServer, params: lsp.InlayHintParams) -> list[lsp.InlayHint]:
    session, now = ls.session, time.time()
    buffer = session.documents.get(params.text_document.uri)
    if buffer is None:
        return []
    encoding = session.client.capabilities.encoding
    span = from_lsp.span(buffer, params.range, encoding)
    return [
        to_lsp.hint(buffer, hint, encoding)
        for state in session.states(buffer, span)
        if (hint := features.hint(state, now=now)) is not None
    ]


def did_save(ls: WhetServer, _params: lsp.DidSaveTextDocumentParams) -> None:
    ls.session.forget_tests()


async def configured(ls: WhetServer, params: lsp.DidChangeConfigurationParams) -> None:
    settings = from_lsp.options(params.settings)
    options = settings.get("whet", settings)
    if isinstance(options, dict) and options:
        await ls.session.settings_changed(options)


def progress_cancelled(ls: WhetServer, params: lsp.WorkDoneProgressCancelParams) -> None:
    with contextlib.suppress(UserError):
        ls.session.runs.cancel(str(params.token).removeprefix(reporter.PROGRESS_NAME))


async def list_runs(ls: WhetServer, params: Any) -> list[dict[str, Any]]:
    with _failing():
        return await commands.list_runs(ls.session, (from_lsp.plain(params) or {}).get("uri"))


async def content(ls: WhetServer, params: Any) -> dict[str, Any]:
    fields = from_lsp.plain(params) or {}
    with _failing():
        return await commands.content(ls.session, str(fields.get("run")), fields.get("candidate"))


FEATURES: dict[str, tuple[Callable[..., Any], Any]] = {
    lsp.INITIALIZE: (initialize, None),
    lsp.TEXT_DOCUMENT_CODE_LENS: (code_lens, None),
    lsp.TEXT_DOCUMENT_CODE_ACTION: (
        code_action, lsp.CodeActionOptions(code_action_kinds=KINDS, resolve_provider=True)
    ),
    lsp.CODE_ACTION_RESOLVE: (resolve, None),
    lsp.TEXT_DOCUMENT_HOVER: (hovered, None),
    lsp.TEXT_DOCUMENT_INLAY_HINT: (inlay_hint, None),
    lsp.TEXT_DOCUMENT_DID_SAVE: (did_save, None),
    lsp.WORKSPACE_DID_CHANGE_CONFIGURATION: (configured, None),
    lsp.WINDOW_WORK_DONE_PROGRESS_CANCEL: (progress_cancelled, None),
    "whet/listRuns": (list_runs, None),
    "whet/content": (content, None),
}  # fmt: skip

Work = Callable[[Session, Any], Awaitable[Any]]

COMMANDS: dict[str, Work] = {
    "whet.optimize": lambda session, argument: commands.start(session, "optimize", argument),
    "whet.fix": lambda session, argument: commands.start(session, "fix", argument),
    "whet.verify": lambda session, argument: commands.start(session, "verify", argument),
    "whet.runTests": lambda session, argument: commands.start(session, "test", argument),
    "whet.chooseTarget": commands.choose_target,
    "whet.cancel": commands.cancel,
    "whet.apply": commands.apply,
    "whet.reject": commands.reject,
    "whet.resume": commands.resume,
    "whet.showDiff": commands.show_diff,
}


def _command(work: Work) -> Callable[..., Awaitable[Any]]:
    """`work` with its one argument; what it refuses becomes the answer's error."""

    async def run(ls: WhetServer, *arguments: Any) -> Any:
        with _failing():
            return await work(ls.session, from_lsp.plain(arguments[0]) if arguments else None)

    return run


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except UserError as refused:
        raise Failed(str(refused)) from None
