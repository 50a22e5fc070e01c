"""What a command's one argument object says, checked. Pure.

The object comes from any editor and any version of a plug-in, so every field is looked
at once, here; what is missing or too new is refused with the cure.
"""

from __future__ import annotations

from typing import Any

import attrs

from whet_agent.project import UserError
from whet_server.features import ARGUMENT_VERSION


@attrs.frozen(kw_only=True)
class KernelOrder:
    """`digest` None: the caller did not look at the text; it takes what is there."""

    uri: str
    kernel: str
    digest: str | None
    target: str | None


def kernel_order(argument: Any) -> KernelOrder:
    """Of `whet.optimize`, `whet.fix`, `whet.runTests`. Raises `UserError`."""
    fields = _versioned(argument)
    return KernelOrder(
        uri=_text(fields, "uri"),
        kernel=_text(fields, "kernel"),
        digest=_optional(fields, "digest"),
        target=_optional(fields, "target"),
    )


def run_id(argument: Any) -> str:
    """Of `whet.cancel`, `whet.apply`, `whet.reject`, `whet.resume`. Raises `UserError`."""
    return _text(_versioned(argument), "run")


def _versioned(argument: Any) -> dict[str, Any]:
    if not isinstance(argument, dict):
        raise UserError('Whet\'s commands take one object as argument, such as {"v": 1, ...}.')
    if argument.get("v") != ARGUMENT_VERSION:
        raise UserError(
            f"This server speaks version {ARGUMENT_VERSION} of Whet's commands and was sent "
            f"version {argument.get('v')!r}: update the editor plug-in or Whet, whichever is older."
        )
    return argument


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise UserError(f"The command's argument needs `{name}`, a text that is not empty.")
    return value


def _optional(fields: dict[str, Any], name: str) -> str | None:
    return None if fields.get(name) is None else _text(fields, name)
