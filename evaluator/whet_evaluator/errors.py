"""The world's faults: one sentence for the user, with the cure in it.

The candidate's fault is a verdict, never an exception; ours is an uncaught assertion.
"""

from __future__ import annotations

from typing import Literal

Culprit = Literal[
    "target", "host key", "python", "package", "workspace", "tests", "device", "worker", "cancelled"
]


class EvaluatorError(Exception):
    """Something outside the candidate is wrong. `str()` is shown to the user as it is.

    `culprit` says where to look; `retryable` that trying again later may help
    (a dropped connection, a busy device).
    """

    def __init__(self, culprit: Culprit, sentence: str, *, retryable: bool = False) -> None:
        super().__init__(sentence)
        self.culprit: Culprit = culprit
        self.retryable = retryable
