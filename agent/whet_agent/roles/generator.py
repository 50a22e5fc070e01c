"""The Generator: from strategies, or from a failure, to whole definitions in fenced Python."""

from __future__ import annotations

from whet_agent.ports import Message
from whet_agent.roles.context import Context
from whet_agent.roles.prompts import fenced, load_sections, render
from whet_agent.roles.subject import (
    conversation,
    describe_failure,
    list_labels,
    list_problems,
    parent_words,
)


def messages(context: Context) -> tuple[Message, ...]:
    """Asks for code: a repair in `fix` and in debug turns, else one candidate a strategy."""
    sections = load_sections("generator")
    if context.goal == "fix":
        return conversation(context, render(sections["fix"], _fix_values(context)))
    if context.last_failure is not None:
        return conversation(context, render(sections["debug"], _debug_values(context)))
    return conversation(context, render(sections["optimize"], _optimize_values(context)))


def _optimize_values(context: Context) -> dict[str, str]:
    stated = "\n".join(f"- ({one.label}) {one.text}" for one in context.strategies)
    return {
        "parent": parent_words(context),
        "base": "the original file",
        "strategies": f"Carry out these strategies, one candidate each:\n\n{stated}" if stated else "",
        "labels": "" if stated else (
            "Choose at most three strategies, the most promising first, each with a different "
            f"label:\n\n{list_labels(context)}"
        ),
        "problems": list_problems(context),
    }  # fmt: skip


def _debug_values(context: Context) -> dict[str, str]:
    failure = context.last_failure
    return {
        "failure": describe_failure(failure),
        "problems": list_problems(context),
        "label": failure.label if failure is not None else "algorithm",
    }


def _fix_values(context: Context) -> dict[str, str]:
    note = ""
    if context.parent is not None:
        code = fenced(context.parent.unit_text)
        note = f"This version came nearest so far ({context.parent.performance}):\n\n{code}"
    return {
        "failure": describe_failure(context.last_failure),
        "problems": list_problems(context),
        "base_note": note,
    }
