"""What the original's launchers refuse by `assert` or `raise` and a candidate no longer does.

Generated cases ask few of the arguments that a launcher refuses, so its checks are compared as
they are written: one that a candidate lacks, or has in other words, is worth a look.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator

_MAX_TEXT = 120


def dropped(original: str, candidate: str) -> list[str]:
    """A sentence for each check of the original's text that the candidate's does not have."""
    kept = set(_checks(candidate))
    gone = dict.fromkeys(check for check in _checks(original) if check not in kept)
    return [f"no longer checks as the original does: `{check[:_MAX_TEXT]}`" for check in gone]


def _checks(text: str) -> Iterator[str]:
    """`assert x.is_cuda`, `raise ValueError if n > 8`; none of a text that does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield f"assert {ast.unparse(node.test)}"
        elif isinstance(node, ast.If):
            for raised in (inner for inner in node.body if isinstance(inner, ast.Raise)):
                yield f"raise {_kind(raised)} if {ast.unparse(node.test)}"


def _kind(raised: ast.Raise) -> str:
    error = raised.exc.func if isinstance(raised.exc, ast.Call) else raised.exc
    return ast.unparse(error) if error is not None else "the error"
