"""What a candidate may change.

Apart from `records.py`, whose two dozen classes whoever only names a unit need not wait for: the
language server does so at its start.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class UnitRef:
    """The thing a candidate may change: one file, and the kernels and launchers in it.

    `path` is relative to the project's root, with `/`, or absolute for a file outside
    it (a kernel opened in site-packages). Names are qualified by dots
    (`Softmax.forward`), without `<locals>`.
    """

    path: str
    kernels: tuple[str, ...]
    launchers: tuple[str, ...]
    text: str
