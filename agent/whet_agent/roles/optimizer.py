"""The Optimizer: from what was tried to strategies in words, one for each label."""

from __future__ import annotations

import re

from whet_agent.ports import Message
from whet_agent.roles.context import LABELS, Context, Strategy
from whet_agent.roles.prompts import load_sections, render
from whet_agent.roles.subject import conversation, list_labels, parent_words

_STATED = re.compile(
    r"^[ \t>*#\-\d.]*\**strategy\**\s*\(\s*\**(?P<label>\w+)\**\s*\)\s*:?\s*\**\s*:?\s*(?P<rest>.*)$",
    re.IGNORECASE,
)


def messages(context: Context) -> tuple[Message, ...]:
    """Asks for plans; the reply is read by `parse_strategies`."""
    values = {"parent": parent_words(context), "labels": list_labels(context)}
    return conversation(context, render(load_sections("optimizer")["optimize"], values))


def parse_strategies(reply: str) -> tuple[Strategy, ...]:
    """The stated strategies in order, the first of each label. Never raises.

    A strategy goes on until a blank line, a fence or the next one. A reply that states
    none in the asked form gives none; the Generator then chooses for itself.
    """
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in reply.splitlines():
        stated = _STATED.match(line)
        if stated:
            label = stated["label"].lower()
            current = [stated["rest"].strip()]
            if label in LABELS:
                found.setdefault(label, current)
        elif not line.strip() or line.lstrip().startswith("```"):
            current = current if current == [""] else None
        elif current is not None:
            current.append(line.strip())
    return tuple(
        Strategy(label=label, text=text)
        for label, lines in found.items()
        if (text := " ".join(line for line in lines if line))
    )
