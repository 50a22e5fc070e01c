"""From the protocol's types to ours. One of three files that know LSP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lsprotocol import types as lsp
from pygls.capabilities import ServerCapabilitiesBuilder

from whet_server.documents import Buffer
from whet_server.positions import code_points
from whet_server.views import Capabilities, Place, Span


def capabilities(client: lsp.ClientCapabilities) -> Capabilities:
    workspace = client.workspace or lsp.WorkspaceClientCapabilities()
    document = client.text_document or lsp.TextDocumentClientCapabilities()
    window = client.window or lsp.WindowClientCapabilities()
    edit, action, hover = workspace.workspace_edit, document.code_action, document.hover
    resolve = action.resolve_support if action else None
    return Capabilities(
        encoding=ServerCapabilitiesBuilder.choose_position_encoding(client),  # type: ignore[arg-type]
        apply_edit=bool(workspace.apply_edit),
        document_changes=bool(edit and edit.document_changes),
        resolves_edits=bool(resolve and "edit" in resolve.properties),
        work_done_progress=bool(window.work_done_progress),
        refreshes_lenses=bool(workspace.code_lens and workspace.code_lens.refresh_support),
        refreshes_hints=bool(workspace.inlay_hint and workspace.inlay_hint.refresh_support),
        markdown_hover=bool(hover and lsp.MarkupKind.Markdown in (hover.content_format or ())),
        code_action_literals=bool(action and action.code_action_literal_support),
        message_requests=window.show_message is not None,
        whet=_declares_whet(client.experimental),
    )


def changes(
    buffer: Buffer, content: Sequence[lsp.TextDocumentContentChangeEvent], encoding: str
) -> None:
    """Applies changes in order: each one's positions refer to the text after those before it."""
    for change in content:
        match change:
            case lsp.TextDocumentContentChangePartial(range=range_, text=text):
                buffer.replace(span(buffer, range_, encoding), text)
            case lsp.TextDocumentContentChangeWholeDocument(text=text):
                buffer.reset(text)


def span(buffer: Buffer, range_: lsp.Range, encoding: str) -> Span:
    return Span(place(buffer, range_.start, encoding), place(buffer, range_.end, encoding))


def place(buffer: Buffer, position: lsp.Position, encoding: str) -> Place:
    """Beyond a line's end means its end, beyond the last line the end of the text."""
    if position.line >= buffer.n_lines:
        return buffer.end
    return Place(
        position.line, code_points(buffer.line(position.line), position.character, encoding)
    )


def only(context: lsp.CodeActionContext) -> tuple[str, ...] | None:
    return (
        None if context.only is None else tuple(str(getattr(k, "value", k)) for k in context.only)
    )


def options(value: Any) -> dict[str, Any]:
    """Settings as the client sent them; anything but an object counts as none."""
    given = plain(value)
    return given if isinstance(given, dict) else {}


def plain(value: Any) -> Any:
    """Untyped JSON as dicts, lists and scalars: pygls gives some of it as objects."""
    if hasattr(value, "_asdict"):  # a named tuple, which is a tuple too: it comes first
        return plain(value._asdict())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if hasattr(value, "__dict__"):
        return plain(vars(value))
    return value


def _declares_whet(experimental: Any) -> bool:
    declared = plain(experimental)
    return isinstance(declared, dict) and bool(declared.get("whet"))
