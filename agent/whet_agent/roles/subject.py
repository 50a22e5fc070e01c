"""What every role is told first: the rules, the kernel, its hardware, what was tried.

The order is from what never changes in a run to what changes with every turn, so that
an endpoint's prompt cache serves all roles and turns of a run.
"""

from __future__ import annotations

from whet_agent.ports import Message
from whet_agent.roles.context import LABEL_MEANINGS, Ancestor, Context, Failure
from whet_agent.roles.prompts import fenced, load_sections, render


def conversation(context: Context, task: str) -> tuple[Message, ...]:
    """The shared beginning, then a role's own `task`."""
    common = load_sections("common")
    values = _values(context)
    parts = [
        render(common[name], values) for name in ("subject", "knowledge", "exemplars", "history")
    ]
    user = "\n\n".join(part for part in (*parts, task) if part)
    return (Message("system", common["system"]), Message("user", user))


def parent_words(context: Context) -> str:
    """Which version a turn starts from, for the middle of a sentence."""
    if context.parent is None:
        return "the original"
    return f"version {context.parent.candidate} (the code is above)"


def describe_failure(failure: Failure | None) -> str:
    """The attempt, where it failed, the minimised case and what the Reflector made of it."""
    if failure is None:
        return ""
    parts = [
        f"Strategy ({failure.label}): {failure.strategy}",
        fenced(failure.unit_text),
        f"It failed at stage `{failure.stage}`:",
        fenced(failure.case, "text"),
        f"Reflection on it: {failure.reflection}" if failure.reflection else "",
    ]
    return "\n\n".join(part for part in parts if part)


def describe_ancestor(ancestor: Ancestor) -> str:
    """One earlier version with how it fared."""
    head = f"Version {ancestor.candidate}: {ancestor.performance or 'untimed'}."
    if ancestor.label != "original":
        head += f" Strategy ({ancestor.label}): {ancestor.strategy}"
    reflection = f"Reflection on it: {ancestor.reflection}" if ancestor.reflection else ""
    return "\n\n".join(part for part in (head, fenced(ancestor.unit_text), reflection) if part)


def list_labels(context: Context) -> str:
    """The labels of this turn, each with its meaning."""
    return "\n".join(f"- {label}: {LABEL_MEANINGS[label]}" for label in context.labels)


def list_problems(context: Context) -> str:
    """Why parts of the last reply were unusable."""
    if not context.problems:
        return ""
    lines = "\n".join(f"- {problem}" for problem in context.problems)
    return f"Parts of your last reply could not be used; mend this:\n{lines}"


def _values(context: Context) -> dict[str, str]:
    ancestors = context.ancestors
    if context.parent is not None and context.parent.candidate not in {
        ancestor.candidate for ancestor in ancestors
    }:
        ancestors = (*ancestors, context.parent)
    return {
        "kernel": context.kernel,
        "path": context.path,
        "target": _target(context),
        "unit": fenced(context.unit_text),
        "launchers": ", ".join(f"`{name}`" for name in context.launchers),
        "launches": fenced(context.launches, "text"),
        "profile": fenced(context.profile, "text"),
        "tests": fenced(context.tests),
        "knowledge": context.knowledge.strip(),
        "exemplars": "\n\n".join(fenced(exemplar) for exemplar in context.exemplars),
        "ancestors": "\n\n".join(_shown(ancestor, context) for ancestor in ancestors),
        "failed": "\n".join(f"- {line}" for line in context.failed),
    }


def _shown(ancestor: Ancestor, context: Context) -> str:
    """The original's code stands above already."""
    if ancestor.unit_text.strip() == context.unit_text.strip():
        return f"Version {ancestor.candidate}, the original above: {ancestor.performance}."
    return describe_ancestor(ancestor)


def _target(context: Context) -> str:
    words = []
    if context.arch:
        device = f" ({context.hardware})" if context.hardware else ""
        words.append(f"The target is {context.arch}{device}.")
    if context.triton:
        words.append(f"Triton is {context.triton}.")
    return " ".join(words)
