"""The roles a model plays: Optimizer (plans in words), Generator (writes), Reflector (explains).

Each is a pure function from a `Context` to messages, beside its prompt file.
"""

from __future__ import annotations

from typing import assert_never

from whet_agent.events import Role
from whet_agent.knowledge import knowledge_for as knowledge_for
from whet_agent.ports import Message
from whet_agent.roles import generator, optimizer, reflector
from whet_agent.roles.context import Context
from whet_agent.roles.optimizer import parse_strategies as parse_strategies


def messages(role: Role, context: Context) -> tuple[Message, ...]:
    """What `role` is told and asked."""
    match role:
        case "optimizer":
            return optimizer.messages(context)
        case "generator":
            return generator.messages(context)
        case "reflector":
            return reflector.messages(context)
        case _:
            assert_never(role)
