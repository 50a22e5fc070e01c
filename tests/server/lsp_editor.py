"""A small editor over pytest-lsp's client: buffers, versions, and a way of applying edits.

It applies edits by its own reading of the protocol, so that a wrong position of the
server's shows as wrong text. `manner` is how it treats `workspace/applyEdit`:
`honest` applies what fits the version and says so; `neovim` says *applied* of a stale
edit that it skipped; `refusing` refuses without a reason; `silent` never answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from lsprotocol import types as lsp
from pygls.protocol import default_converter
from pytest_lsp import LanguageClient
from pytest_lsp.client import register_lsp_features

Manner = Literal["honest", "neovim", "refusing", "silent"]
UNIT_BYTES = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}
LIMIT_S = 120.0


class Editor:
    """One client with its server. Make it by `start`, end it by `stop`."""

    def __init__(self) -> None:
        self.client = _client()
        self.texts: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.manner: Manner = "honest"
        self.edits: list[lsp.ApplyWorkspaceEditParams] = []
        self.before_edit: Callable[[], None] = lambda: None
        """Called between the server's request and its application: the user who types."""
        self.runs: list[dict[str, Any]] = []
        self.statuses: list[dict[str, Any]] = []
        self.refreshes: list[str] = []
        self._news = asyncio.Event()

    async def start(
        self,
        command: list[str],
        *,
        root: Path | None = None,
        environ: dict[str, str] | None = None,
        options: dict[str, Any] | None = None,
        encodings: tuple[str, ...] = ("utf-16",),
        whet: bool = True,
        **changes: Any,
    ) -> lsp.InitializeResult:
        """`changes` replace parts of the capabilities, by their names below."""
        self._listen()
        await self.client.start_io(*command, env=environ)
        self.result = await self.client.initialize_session(
            lsp.InitializeParams(
                capabilities=capabilities(encodings=encodings, whet=whet, **changes),
                workspace_folders=[lsp.WorkspaceFolder(uri=root.as_uri(), name="p")]
                if root
                else None,
                root_uri=root.as_uri() if root else None,
                initialization_options=options or {},
            )
        )
        self.encoding = str(self.result.capabilities.position_encoding or "utf-16")
        return self.result

    async def stop(self) -> int | None:
        await asyncio.wait_for(self.client.shutdown_session(), LIMIT_S)
        status = self.client._server.returncode
        await self.client.stop()
        return status

    # Buffers.

    def open(self, uri: str, text: str) -> None:
        self.texts[uri], self.versions[uri] = text, 1
        self.client.text_document_did_open(
            lsp.DidOpenTextDocumentParams(
                text_document=lsp.TextDocumentItem(
                    uri=uri, language_id="python", version=1, text=text
                )
            )
        )

    def type(self, uri: str, start: int, end: int, new: str) -> None:
        """Replaces the code points `start` to `end`, as one incremental change."""
        old = self.texts[uri]
        self.texts[uri] = old[:start] + new + old[end:]
        self.versions[uri] += 1
        self.client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(
                text_document=lsp.VersionedTextDocumentIdentifier(
                    uri=uri, version=self.versions[uri]
                ),
                content_changes=[
                    lsp.TextDocumentContentChangePartial(
                        range=lsp.Range(self.position(old, start), self.position(old, end)),
                        text=new,
                    )
                ],
            )
        )

    def replace(self, uri: str, old: str, new: str) -> None:
        start = self.texts[uri].index(old)
        self.type(uri, start, start + len(old), new)

    def position(self, text: str, offset: int) -> lsp.Position:
        ends = [m.end() for m in re.finditer(r"\r\n|\n|\r", text[:offset])]
        codec, size = UNIT_BYTES[self.encoding]
        head = text[ends[-1] if ends else 0 : offset]
        return lsp.Position(len(ends), len(head.encode(codec)) // size)

    def offset(self, text: str, position: lsp.Position) -> int:
        starts = [0, *(m.end() for m in re.finditer(r"\r\n|\n|\r", text))]
        codec, size = UNIT_BYTES[self.encoding]
        rest = text[starts[position.line] :].encode(codec)[: position.character * size]
        return starts[position.line] + len(rest.decode(codec))

    def apply_edit(self, edit: lsp.WorkspaceEdit) -> bool:
        """All or nothing: a version that is not the buffer's skips the edit."""
        changes = edit.document_changes or []
        if any(self.versions[c.text_document.uri] != c.text_document.version for c in changes):
            return False
        for change in changes:
            uri, text = change.text_document.uri, self.texts[change.text_document.uri]
            spans = [
                (self.offset(text, e.range.start), self.offset(text, e.range.end), e.new_text)
                for e in change.edits
            ]
            for start, end, new in sorted(spans, reverse=True):
                self.type(uri, start, end, new)
        return True

    # Requests.

    async def lenses(self, uri: str) -> list[lsp.CodeLens]:
        params = lsp.CodeLensParams(text_document=lsp.TextDocumentIdentifier(uri=uri))
        return list(await self.client.text_document_code_lens_async(params) or [])

    async def actions(
        self, uri: str, line: int, *, only: list[str] | None = None
    ) -> list[lsp.CodeAction]:
        at = lsp.Position(line, 0)
        params = lsp.CodeActionParams(
            text_document=lsp.TextDocumentIdentifier(uri=uri),
            range=lsp.Range(at, at),
            context=lsp.CodeActionContext(diagnostics=[], only=only),
        )
        return list(await self.client.text_document_code_action_async(params) or [])

    async def action(self, uri: str, line: int, title: str) -> lsp.CodeAction:
        found = [a for a in await self.actions(uri, line) if a.title.startswith(title)]
        assert len(found) == 1, [a.title for a in await self.actions(uri, line)]
        return found[0]

    async def hover(self, uri: str, position: lsp.Position) -> str:
        params = lsp.HoverParams(lsp.TextDocumentIdentifier(uri=uri), position)
        found = await self.client.text_document_hover_async(params)
        return found.contents.value if found else ""

    async def hints(self, uri: str) -> list[lsp.InlayHint]:
        whole = lsp.Range(lsp.Position(0, 0), self.position(self.texts[uri], len(self.texts[uri])))
        params = lsp.InlayHintParams(lsp.TextDocumentIdentifier(uri=uri), whole)
        return list(await self.client.text_document_inlay_hint_async(params) or [])

    async def execute(self, command: str, *arguments: Any) -> Any:
        params = lsp.ExecuteCommandParams(command=command, arguments=list(arguments))
        return plain(await self.client.workspace_execute_command_async(params))

    async def do(self, action: lsp.CodeAction) -> Any:
        assert action.command is not None
        return await self.execute(action.command.command, *(action.command.arguments or ()))

    async def ask(self, method: str, params: Any) -> Any:
        return plain(await self.client.protocol.send_request_async(method, params))

    # Waiting.

    async def until(self, found: Callable[[], Any], what: str = "") -> Any:
        """Waits until `found` is true; its value. Looks at every message, and now and then."""
        async with asyncio.timeout(LIMIT_S):
            while not (value := found()):
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), 0.2)
        return value

    async def finished(self, run: str) -> dict[str, Any]:
        return await self.until(
            lambda: next(
                (r for r in self.runs if r["run"] == run and r["state"] == "finished"), None
            )
        )

    def last(self, run: str) -> dict[str, Any] | None:
        return next((r for r in reversed(self.runs) if r["run"] == run), None)

    def _listen(self) -> None:
        client = self.client

        def heard(method: str, keep: Callable[[Any], Any]) -> None:
            @client.feature(method)
            def _(params: Any) -> Any:
                answer = keep(params)
                self._news.set()
                return answer

        heard("whet/runChanged", lambda p: self.runs.append(plain(p)))
        heard("whet/status", lambda p: self.statuses.append(plain(p)))
        heard(lsp.WORKSPACE_CODE_LENS_REFRESH, lambda _: self.refreshes.append("lens"))
        heard(lsp.WORKSPACE_INLAY_HINT_REFRESH, lambda _: self.refreshes.append("hint"))

        @client.feature(lsp.WORKSPACE_APPLY_EDIT)
        async def _(params: lsp.ApplyWorkspaceEditParams) -> lsp.ApplyWorkspaceEditResult:
            self.edits.append(params)
            self.before_edit()
            if self.manner == "silent":
                await asyncio.Event().wait()
            applied = self.manner != "refusing" and self.apply_edit(params.edit)
            self._news.set()
            return lsp.ApplyWorkspaceEditResult(applied=applied or self.manner == "neovim")

        was_published = client.protocol.fm.features[lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS]
        was_progress = client.protocol.fm.features[lsp.PROGRESS]
        client.protocol.fm.features[lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS] = self._noting(
            was_published
        )
        client.protocol.fm.features[lsp.PROGRESS] = self._noting(was_progress)

    def _noting(self, handler: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def handle(params: Any) -> Any:
            answer = handler(params)
            self._news.set()
            return answer

        return handle


def capabilities(
    *,
    encodings: tuple[str, ...],
    whet: bool,
    apply_edit: bool = True,
    resolve: bool = True,
    progress: bool = True,
    refresh: bool = True,
) -> lsp.ClientCapabilities:
    return lsp.ClientCapabilities(
        general=lsp.GeneralClientCapabilities(position_encodings=list(encodings)),
        workspace=lsp.WorkspaceClientCapabilities(
            apply_edit=apply_edit,
            workspace_edit=lsp.WorkspaceEditClientCapabilities(document_changes=True),
            code_lens=lsp.CodeLensWorkspaceClientCapabilities(refresh_support=refresh),
            inlay_hint=lsp.InlayHintWorkspaceClientCapabilities(refresh_support=refresh),
        ),
        window=lsp.WindowClientCapabilities(work_done_progress=progress),
        text_document=lsp.TextDocumentClientCapabilities(
            hover=lsp.HoverClientCapabilities(content_format=[lsp.MarkupKind.Markdown]),
            code_action=lsp.CodeActionClientCapabilities(
                code_action_literal_support=lsp.ClientCodeActionLiteralOptions(
                    code_action_kind=lsp.ClientCodeActionKindOptions(value_set=[])
                ),
                resolve_support=lsp.ClientCodeActionResolveOptions(properties=["edit"])
                if resolve
                else None,
            ),
        ),
        experimental={"whet": True} if whet else None,
    )


def plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _client() -> LanguageClient:
    client = LanguageClient(converter_factory=_converter)
    register_lsp_features(client)
    return client


def _converter() -> Any:
    """lsprotocol reads every code action that has a `command` as a bare command: mended."""
    converter = default_converter()

    def action(value: Any, _type: Any) -> Any:
        is_command = isinstance(value.get("command"), str)
        return converter.structure(value, lsp.Command if is_command else lsp.CodeAction)

    for union in (lsp.Command | lsp.CodeAction, lsp.CodeAction | lsp.Command):
        converter.register_structure_hook(union, action)
    from typing import Union

    for union in (Union[lsp.Command, lsp.CodeAction], Union[lsp.CodeAction, lsp.Command]):  # noqa: UP007
        converter.register_structure_hook(union, action)
    return converter
