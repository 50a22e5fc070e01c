"""Reads facts from code compiled for an architecture: *estimated* cost, never measured.

Pure functions of the assembly text. AMD's compiler prints most figures as metadata and
comments at the end of its text. NVIDIA's PTX has virtual registers only; the real count
comes from the assembled binary (`parse_resource_usage` of `cuobjdump`'s report).
"""

from __future__ import annotations

import re
from typing import Any

_AMD_METADATA = {
    "vgprs": r"\.vgpr_count:\s+(\d+)",
    "agprs": r"\.agpr_count:\s+(\d+)",
    "sgprs": r"\.sgpr_count:\s+(\d+)",
    "lds_bytes": r"\.group_segment_fixed_size:\s+(\d+)",
    "scratch_bytes": r"\.private_segment_fixed_size:\s+(\d+)",
    "occupancy": r";\s*Occupancy:\s*(\d+)",
}
_AMD_SPILLS = re.compile(r"\.(?:vgpr|sgpr)_spill_count:\s+(\d+)")
_AMD_INSTRUCTION = re.compile(r"^\s+([a-z][a-z0-9_]+)\b(?!:)", re.MULTILINE)
_AMD_MEMORY = re.compile(
    r"^(?:global|buffer|flat)_(load|store)_(?:lds_)?"
    r"(?:[us]?(byte|short)|(dword|b32|b64|b96|b128)(?:x([234]))?)"
)
_AMD_MATRIX = ("v_mfma_", "v_smfmac_", "v_wmma_", "v_swmmac_")
_AMD_BYTES = {"byte": 1, "short": 2, "dword": 4, "b32": 4, "b64": 8, "b96": 12, "b128": 16}

_PTX_INSTRUCTION = re.compile(r"^\s+(?:@!?%\w+\s+)?([a-z]\w*(?:\.[\w:]+)*)[\s;]", re.MULTILINE)
_PTX_ACCESS = re.compile(r"^(ld|st)\.(?:[\w:]+\.)*?global\.(?:[\w:]+\.)*?(?:v(\d)\.)?[busf](\d+)$")
_PTX_COPY = re.compile(r"cp\.async\.c[ag]\.shared(?:::\w+)?\.global[^;]*?\],\s*\[[^\]]*\],\s*(\w+)")
_PTX_MATRIX = ("mma.", "wmma.mma", "wgmma.mma_async", "tcgen05.mma")


def parse_amdgcn(text: str) -> dict[str, Any]:
    """Fields of `Compiled` from AMD assembly. `lds_bytes` is the static part alone."""
    facts: dict[str, Any] = {}
    for field, pattern in _AMD_METADATA.items():
        found = re.search(pattern, text)
        facts[field] = int(found.group(1)) if found else None
    spills = _AMD_SPILLS.findall(text)
    facts["spills"] = sum(int(n) for n in spills) if spills else None
    names = [n for n in _AMD_INSTRUCTION.findall(_amd_code(text)) if n != "s_code_end"]
    facts["instructions"] = len(names)
    facts["matrix_instructions"] = sum(name.startswith(_AMD_MATRIX) for name in names)
    facts["load_widths"], facts["store_widths"] = _amd_widths(names)
    return facts


def parse_ptx(text: str) -> dict[str, Any]:
    """Fields of `Compiled` from PTX; registers are not among them."""
    names = _PTX_INSTRUCTION.findall(text)
    widths: dict[str, dict[str, int]] = {"ld": {}, "st": {}}
    for name in names:
        found = _PTX_ACCESS.match(name)
        if found:
            _add(widths[found.group(1)], int(found.group(2) or 1) * int(found.group(3)) // 8)
    for size in _PTX_COPY.findall(text):
        _add(widths["ld"], int(size, 0))
    return {
        "instructions": len(names),
        "matrix_instructions": sum(name.startswith(_PTX_MATRIX) for name in names),
        "load_widths": widths["ld"],
        "store_widths": widths["st"],
    }


def parse_resource_usage(report: str, kernel: str) -> dict[str, Any]:
    """Fields of `Compiled` from `cuobjdump --dump-resource-usage` of a cubin.

    `vgprs` holds registers a thread. `spills` is local memory a thread in bytes, which
    on NVIDIA is where spilled registers go; so is `scratch_bytes`, with the stack.
    """
    line = re.search(rf"Function {re.escape(kernel)}\w*:\s*(.*)", report)
    usage = {k: int(v) for k, v in re.findall(r"(\w+):(\d+)", line.group(1))} if line else {}
    if "REG" not in usage:
        return {}
    local = usage.get("LOCAL", 0)
    return {
        "vgprs": usage["REG"],
        "spills": local,
        "scratch_bytes": local + usage.get("STACK", 0),
    }


def _amd_code(text: str) -> str:
    """The instructions: up to the end of the function, before descriptors and metadata."""
    end = re.search(r"^\.Lfunc_end\d+:", text, re.MULTILINE)
    return text[: end.start()] if end else text


def _amd_widths(names: list[str]) -> tuple[dict[str, int], dict[str, int]]:
    widths: dict[str, dict[str, int]] = {"load": {}, "store": {}}
    for name in names:
        found = _AMD_MEMORY.match(name)
        if found:
            unit = found.group(2) or found.group(3)
            _add(widths[found.group(1)], _AMD_BYTES[unit] * int(found.group(4) or 1))
    return widths["load"], widths["store"]


def _add(widths: dict[str, int], size: int) -> None:
    widths[str(size)] = widths.get(str(size), 0) + 1
