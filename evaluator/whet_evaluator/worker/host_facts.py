"""What a child answered when it was asked about its host, and which device of that host is meant."""

from __future__ import annotations

import platform
import socket
from collections.abc import Mapping
from typing import Any

from .codec import from_json
from .isolation import Level
from .orders import bare_uuid
from .records import Device, Facts
from .workspace import WorkspaceError


def facts_of(
    answer: Mapping[str, Any],
    *,
    wanted_device: str,
    isolation: Level,
    isolation_detail: str,
    slow_start: str | None,
) -> Facts:
    """Raises `WorkspaceError` where the host lacks the device that is wanted by name."""
    found = tuple(from_json(Device, device) for device in answer.get("devices", ()))
    devices = () if wanted_device == "none" else found
    named = wanted_device not in ("auto", "none")
    if named and not any(_is(device, wanted_device) for device in devices):
        raise WorkspaceError(
            "bad request",
            f"{socket.gethostname()} has no device {wanted_device}; set the target's "
            "device to `auto` or to one that `whet doctor` lists",
        )
    return Facts(
        python=platform.python_version(),
        platform=platform.platform(),
        host=socket.gethostname(),
        torch=answer.get("torch"),
        triton=answer.get("triton"),
        pytest=answer.get("pytest"),
        devices=devices,
        mode="device" if devices else "interpret",
        archs=tuple(answer.get("archs", ())),
        isolation=isolation,
        isolation_detail=isolation_detail,
        slow_start=slow_start,
        settings=dict(answer.get("settings", {})),
    )


def chosen_device(facts: Facts, wanted: str) -> Device | None:
    """The device to use, None in interpreter mode."""
    if facts.mode != "device":
        return None
    named = [device for device in facts.devices if _is(device, wanted)]
    return (named or list(facts.devices))[0]


def _is(device: Device, wanted: str) -> bool:
    return bare_uuid(device.uuid) == bare_uuid(wanted)
