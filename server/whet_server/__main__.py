"""The `whet` command. `whet serve` is the language server; the rest is the command line.

The server starts without typer, rich, openai and pydantic: an editor waits for it.
"""

from __future__ import annotations

import functools
import gc
import sys


def main() -> None:
    """Entry point of the console script."""
    if sys.argv[1:2] == ["serve"] and not {"-h", "--help"} & set(sys.argv[2:]):
        gc.set_threshold(20_000)  # classes by the thousand, none garbage; `serve` sets its own
        _import_types_of_lsp()
        from whet_server.serving import serve

        serve()
    from whet_agent.commandline.main import main as command_line

    command_line()


def _import_types_of_lsp() -> None:
    """Most of the start goes into methods for five hundred classes, and half of that into what
    nobody asks for: printing them, comparing them (`Position` and `Range`, which are compared,
    bring their own), and making each class once more with slots."""
    import attrs

    define = attrs.define
    attrs.define = functools.partial(define, repr=False, eq=False, slots=False)
    try:
        import pygls.io_  # noqa: F401 - it imports them, for all who come next
    finally:
        attrs.define = define


if __name__ == "__main__":
    main()
