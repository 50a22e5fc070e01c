"""From our types to the protocol's, and everything that is sent unasked. Knows LSP.

Requests to the client are awaited only after its capability and never without a bound:
a client that never answers costs a timeout, not a run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from whet_server.documents import Buffer
from whet_server.edits import Change
from whet_server.positions import code_units
from whet_server.views import (
    Action,
    Capabilities,
    Command,
    Edit,
    Finding,
    Hint,
    Lens,
    Place,
    RunOffer,
    Span,
)

log = logging.getLogger(__name__)

SOURCE = "whet"

ANSWER_S = 10.0
"""How long a client may take to answer a request that no person has to answer."""


def position(buffer: Buffer, place: Place, encoding: str) -> lsp.Position:
    return lsp.Position(place.line, code_units(buffer.line(place.line), place.column, encoding))


def range_of(buffer: Buffer, span: Span, encoding: str) -> lsp.Range:
    return lsp.Range(position(buffer, span.start, encoding), position(buffer, span.end, encoding))


def command(title: str, command: Command) -> lsp.Command:
    return lsp.Command(title=title, command=command.name, arguments=[command.argument])


def lens(lens: Lens) -> dict[str, Any]:
    """A `CodeLens` where its line begins, as plain JSON: there are a thousand in a large file."""
    place = {"line": lens.line, "character": 0}
    does = {
        "title": lens.title,
        "command": lens.command.name,
        "arguments": [lens.command.argument],
    }
    return {"range": {"start": place, "end": place}, "command": does}


def action(
    action: Action, diagnostics: list[lsp.Diagnostic], client: Capabilities
) -> lsp.CodeAction | lsp.Command:
    """A bare command for a client without action literals; an offer waits for `resolve`."""
    match action.does:
        case RunOffer(run=run) as offer if client.resolves_edits:
            return lsp.CodeAction(
                title=action.title, kind=action.kind, data={"run": run, "uri": offer.uri}
            )
        case RunOffer(run=run):
            does = Command(name="whet.apply", argument={"v": 1, "run": run})
        case Command() as does:
            pass
    if not client.code_action_literals:
        return command(action.title, does)
    return lsp.CodeAction(
        title=action.title,
        kind=action.kind,
        command=command(action.title, does),
        diagnostics=diagnostics if action.fixes_red and diagnostics else None,
    )


def hint(buffer: Buffer, hint: Hint, encoding: str) -> lsp.InlayHint:
    end = Place(hint.line, len(buffer.line(hint.line)))
    return lsp.InlayHint(
        position=position(buffer, end, encoding),
        label=hint.label,
        tooltip=hint.tooltip,
        padding_left=True,
    )


def hover(text: str, client: Capabilities) -> lsp.Hover:
    kind = lsp.MarkupKind.Markdown if client.markdown_hover else lsp.MarkupKind.PlainText
    return lsp.Hover(contents=lsp.MarkupContent(kind=kind, value=text))


def diagnostic(buffer: Buffer, finding: Finding, encoding: str) -> lsp.Diagnostic:
    severity = lsp.DiagnosticSeverity
    return lsp.Diagnostic(
        range=range_of(buffer, finding.span, encoding),
        message=finding.message,
        severity=severity.Information if finding.stale else severity.Error,
        code="red-test",
        source=SOURCE,
        data={"nodeid": finding.nodeid},
    )


def workspace_edit(
    buffer: Buffer, edits: Iterable[Edit], client: Capabilities
) -> lsp.WorkspaceEdit:
    """One versioned document edit; unversioned only for a client that knows no other."""
    text_edits = [
        lsp.TextEdit(range=range_of(buffer, edit.span, client.encoding), new_text=edit.text)
        for edit in edits
    ]
    if not client.document_changes:
        return lsp.WorkspaceEdit(changes={buffer.uri: text_edits})
    document = lsp.OptionalVersionedTextDocumentIdentifier(uri=buffer.uri, version=buffer.version)
    return lsp.WorkspaceEdit(
        document_changes=[lsp.TextDocumentEdit(text_document=document, edits=[*text_edits])]
    )


class Client:
    """What the session may tell the editor. Each method asks the capabilities itself."""

    def __init__(self, server: LanguageServer, capabilities: Capabilities) -> None:
        self._server = server
        self.capabilities = capabilities

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Our own notifications, for clients that declared `experimental.whet`."""
        if self.capabilities.whet:
            self._server.protocol.notify(method, params)

    def publish(self, buffer: Buffer, findings: Iterable[Finding]) -> None:
        found = [diagnostic(buffer, finding, self.capabilities.encoding) for finding in findings]
        self._server.text_document_publish_diagnostics(
            lsp.PublishDiagnosticsParams(uri=buffer.uri, version=buffer.version, diagnostics=found)
        )

    def clear(self, uri: str) -> None:
        self._server.text_document_publish_diagnostics(
            lsp.PublishDiagnosticsParams(uri=uri, diagnostics=[])
        )

    def inform(self, sentence: str) -> None:
        self._server.window_show_message(
            lsp.ShowMessageParams(type=lsp.MessageType.Info, message=sentence)
        )

    async def choose(self, question: str, options: tuple[str, ...], timeout_s: float) -> str | None:
        """What the person picked, None when nothing, or when the client cannot ask."""
        if not self.capabilities.message_requests:
            return None
        params = lsp.ShowMessageRequestParams(
            type=lsp.MessageType.Info,
            message=question,
            actions=[lsp.MessageActionItem(title=option) for option in options],
        )
        item = await self._ask(self._server.window_show_message_request_async(params), timeout_s)
        return item.title if item is not None else None

    async def apply(self, buffer: Buffer, change: Change, label: str) -> str | None:
        """Sends the edit; None when the client took it or did not say, else why not.

        What it says is not proof: the text that follows is.
        """
        edit = workspace_edit(buffer, change.edits, self.capabilities)
        params = lsp.ApplyWorkspaceEditParams(edit=edit, label=label)
        result = await self._ask(self._server.workspace_apply_edit_async(params), ANSWER_S)
        if result is None or result.applied:
            return None
        return result.failure_reason or "the file changed meanwhile"

    async def refresh(self) -> None:
        """Asks for fresh lenses and hints."""
        if self.capabilities.refreshes_lenses:
            await self._ask(self._server.workspace_code_lens_refresh_async(None), ANSWER_S)
        if self.capabilities.refreshes_hints:
            await self._ask(self._server.workspace_inlay_hint_refresh_async(None), ANSWER_S)

    async def begin_progress(self, token: str, title: str, message: str) -> bool:
        """Whether the client shows a progress under `token`, with a cancel of its own."""
        if not self.capabilities.work_done_progress:
            return False
        progress = self._server.work_done_progress
        try:
            await asyncio.wait_for(progress.create_async(token), ANSWER_S)
        except (TimeoutError, JsonRpcException):
            return False
        begin = lsp.WorkDoneProgressBegin(
            title=title, message=message, cancellable=True, percentage=0
        )
        progress.begin(token, begin)
        return True

    def report_progress(self, token: str, message: str, percentage: int) -> None:
        report = lsp.WorkDoneProgressReport(
            message=message, percentage=percentage, cancellable=True
        )
        self._server.work_done_progress.report(token, report)

    def end_progress(self, token: str, message: str) -> None:
        progress = self._server.work_done_progress
        progress.end(token, lsp.WorkDoneProgressEnd(message=message))
        progress.tokens.pop(token, None)

    async def _ask(self, request: Any, timeout_s: float) -> Any:
        try:
            return await asyncio.wait_for(request, timeout_s)
        except TimeoutError:
            log.warning("the client did not answer within %s s", timeout_s)
        except JsonRpcException as error:
            log.warning("the client refused: %s", error)
        return None
