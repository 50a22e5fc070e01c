"""Recorded replies in place of a model: the same run again, without a key or a bill.

A recording is one Markdown file with one reply, or a folder of such files played in the
order of their names. It answers whatever is asked, so it stands for a model that says
these things in this order; when it has no more to say, the run ends.
"""

from __future__ import annotations

from pathlib import Path

from whet_agent.ports import Message, ModelError, OnDelta, Reply
from whet_agent.project import UserError
from whet_agent.task import ModelChoice

CHOICE = ModelChoice(
    name="recorded",
    base_url="recorded",
    usd_per_million_input=0.0,
    usd_per_million_output=0.0,
)
"""How a run made from a recording names its model: never a real one's name."""


class RecordedModel:
    """Implements `ports.Model`."""

    def __init__(self, replies: tuple[str, ...]) -> None:
        self._replies = list(replies)

    @property
    def n_replies(self) -> int:
        """How many are left to play."""
        return len(self._replies)

    @classmethod
    def load(cls, path: Path) -> RecordedModel:
        """Reads a `.md` file or a folder of them. Raises `UserError`."""
        files = sorted(path.glob("*.md")) if path.is_dir() else [path]
        try:
            replies = tuple(file.read_text("utf-8") for file in files if file.name != "README.md")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"The recording {path} cannot be read ({error}).") from None
        if not replies:
            raise UserError(f"The recording {path} holds no .md file with a reply.")
        return cls(replies)

    async def ask(
        self,
        messages: tuple[Message, ...],
        *,
        temperature: float,
        max_completion_tokens: int,
        on_delta: OnDelta,
    ) -> Reply:
        """The next reply. Raises a fatal `ModelError` when all have been played."""
        del messages, temperature, max_completion_tokens
        if not self._replies:
            raise ModelError("The recording has no more replies.", fatal=True, billed=False)
        text = self._replies.pop(0)
        on_delta(text)
        return Reply(text=text, finish_reason="stop", prompt_tokens=0, completion_tokens=0, usd=0.0)

    async def close(self) -> None:
        """Nothing is open."""
