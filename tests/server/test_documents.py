"""A buffer after any edits is a buffer opened with that text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsprotocol import types as lsp

from whet_server import from_lsp
from whet_server.documents import Buffer, Documents
from whet_server.views import Place, Span

KERNEL = "# été 😀\nimport triton\n\n\n@triton.jit\ndef scale(x_ptr, n):\n    pass\n\n\ndef launch(x):\n    scale[(1,)](x, 1)\n"


def buffer(text: str) -> Buffer:
    return Buffer(uri="file:///p/k.py", path=Path("/p/k.py"), version=1, text=text)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("a", ["a"]),
        ("a\n", ["a", ""]),
        ("a\r\nb\rc\nd", ["a", "b", "c", "d"]),
        ("a\fb\n", ["a\fb", ""]),
        ("a\u2028b\x85c\vd\x1ce\n", ["a\u2028b\x85c\vd\x1ce", ""]),
        ("\n\r", ["", "", ""]),
    ],
)
def test_lines_end_at_three_endings_and_nowhere_else(text, lines):
    read = buffer(text)
    assert [read.line(n) for n in range(read.n_lines)] == lines
    assert read.end == Place(len(lines) - 1, len(lines[-1]))


PIECES = st.sampled_from(
    ["a", "é", "😀", "\n", "\r\n", "\r", "\f", "@triton.jit\n", "def k():", " "]
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
@settings(max_examples=60)
@given(data=st.data())
def test_incremental_changes_give_the_clients_text(encoding, data):
    """The client's side is computed on whole texts, by encoding and cutting bytes."""
    text = data.draw(TEXTS.map(lambda t: KERNEL + t))
    edited = buffer(text)
    for _ in range(data.draw(st.integers(1, 4))):
        n_lines = edited.n_lines
        first = data.draw(st.integers(0, n_lines - 1))
        last = data.draw(st.integers(first, min(first + 2, n_lines - 1)))
        start = data.draw(st.integers(0, len(edited.line(first))))
        end = data.draw(st.integers(start if first == last else 0, len(edited.line(last))))
        new = data.draw(TEXTS)
        change = lsp.TextDocumentContentChangePartial(
            range=lsp.Range(
                lsp.Position(first, units(edited.line(first)[:start], encoding)),
                lsp.Position(last, units(edited.line(last)[:end], encoding)),
            ),
            text=new,
        )
        begin, stop = edited.offset(Place(first, start)), edited.offset(Place(last, end))
        expected = edited.text[:begin] + new + edited.text[stop:]
        from_lsp.changes(edited, [change], encoding)
        assert edited.text == expected
        fresh = buffer(expected)
        assert edited.kernels == fresh.kernels
        assert edited.n_lines == fresh.n_lines


def test_a_broken_text_means_the_same_however_it_was_typed():
    edited = buffer(KERNEL)
    for start, end, new in ((Place(5, 4), Place(7, 0), "a"), (Place(9, 0), Place(9, 0), "😀")):
        edited.replace(Span(start, end), new)
        assert edited.kernels == buffer(edited.text).kernels


def units(text: str, encoding: str) -> int:
    codec, size = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}[
        encoding
    ]
    return len(text.encode(codec)) // size


def test_a_kernel_is_seen_where_it_stands():
    (kernel,) = buffer(KERNEL).kernels
    assert (kernel.first_line, kernel.line, kernel.end_line) == (4, 5, 6)
    assert kernel.name_span == Span(Place(5, 4), Place(5, 9))
    assert kernel.launchers == ("launch",)


def test_the_digest_follows_the_unit_and_nothing_else():
    edited = buffer(KERNEL)
    before = edited.kernels[0].digest
    edited.replace(Span(Place(0, 0), Place(0, 0)), "# above\n\n")
    assert edited.kernels[0].digest == before
    line = edited.kernels[0].end_line
    edited.replace(Span(Place(line, 4), Place(line, 8)), "return")
    assert edited.kernels[0].digest != before


def test_a_helper_of_kernels_is_no_kernel_of_its_own():
    text = "import triton\n@triton.jit\ndef helper(x):\n    return x\n" + KERNEL.replace(
        "    pass", "    helper(x_ptr)"
    )
    assert [kernel.name for kernel in buffer(text).kernels] == ["scale"]


async def test_a_text_that_passes_by_is_noticed():
    import asyncio

    edited = buffer("a")
    waiting = asyncio.create_task(edited.wait_for_text("b"))
    await asyncio.sleep(0)
    edited.reset("b")
    edited.reset("c")
    await asyncio.wait_for(waiting, 5)


def test_documents_are_found_by_uri_and_by_path():
    documents = Documents()
    documents.put(one := buffer(KERNEL))
    assert documents.get(one.uri) is documents.at(Path("/p/k.py")) is one
    documents.close(one.uri)
    assert documents.get(one.uri) is None
