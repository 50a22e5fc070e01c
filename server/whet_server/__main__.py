"""The `whet` command. `whet serve` is the language server; the rest is the command line.

The server starts without typer, rich, openai and pydantic: an editor waits for it.
"""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Entry point of the console script."""
    if sys.argv[1:2] == ["serve"] and not {"-h", "--help"} & set(sys.argv[2:]):
        gc.disable()  # classes by the thousand, none garbage; `serve` enables it
        from whet_server.starting import import_types_of_lsp

        import_types_of_lsp()
        from whet_server.serving import serve

        serve()
    from whet_agent.commandline.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
