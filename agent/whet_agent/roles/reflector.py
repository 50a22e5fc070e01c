"""The Reflector: what an attempt teaches, from its minimised failing case or its result."""

from __future__ import annotations

from whet_agent.ports import Message
from whet_agent.roles.context import Context
from whet_agent.roles.prompts import load_sections, render
from whet_agent.roles.subject import conversation, describe_ancestor, describe_failure


def messages(context: Context) -> tuple[Message, ...]:
    """Asks why `last_failure` failed; without one, what `parent`, the attempt, teaches."""
    sections = load_sections("reflector")
    if context.last_failure is not None:
        task = render(sections["failed"], {"failure": describe_failure(context.last_failure)})
        return conversation(context, task)
    assert context.parent is not None, "nothing to reflect on"
    values = {
        "attempt": describe_ancestor(context.parent),
        "compared": "the original and the versions above",
    }
    return conversation(context, render(sections["passed"], values))
