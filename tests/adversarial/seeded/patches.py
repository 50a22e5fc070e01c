"""What a seeded bug and an honest rewrite are, and how one becomes the text of a candidate.

Both are small patches of a kernel that is right: a bug turns it wrong in a way that real
kernels are wrong, a rewrite keeps it right and is one that an expert would accept. Each
unit has the tests that its author would have written; for the examples these are theirs.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from whet_agent.source.units import unit_of
from whet_evaluator.worker.unit_ref import UnitRef

ROOT = Path(__file__).resolve().parents[3]
PROJECTS = {
    "examples": ROOT / "examples",
    "small": Path(__file__).resolve().parent / "project",
}

Kind = Literal[
    "mask", "tail", "stride", "dtype", "accumulator", "NaN handling", "aliasing", "race",
    "index", "axis", "in place", "overflow", "scale", "identity", "uninitialised", "layout",
    "broadcast", "randomness", "optional argument", "stability",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A right kernel and the tests of its author. `path` and `tests` are of its project."""

    name: str
    kernel: str
    project: Literal["examples", "small"]
    path: str
    tests: str

    @property
    def text(self) -> str:
        return (PROJECTS[self.project] / self.path).read_text()

    @property
    def reference(self) -> UnitRef:
        found = unit_of(self.text, self.path, self.kernel)
        assert found is not None, self
        return found


@dataclass(frozen=True, kw_only=True)
class Bug:
    """`edits` are (old, new) pairs. Each old text occurs exactly once; of a long one only its
    head and its tail are given, with `ELISION` between them."""

    name: str
    kind: Kind
    unit: str
    edits: tuple[tuple[str, str], ...]
    why: str
    """How real kernels come to have it."""
    device_only: str = ""
    """Why the interpreter cannot show it, or empty where it can."""
    beyond: str = ""
    """What no recorded call says, so that generated cases cannot ask for it; or empty."""


@dataclass(frozen=True, kw_only=True)
class Rewrite:
    """`edits` as of a `Bug`; `what` is what an expert would call the change."""

    name: str
    unit: str
    what: str
    edits: tuple[tuple[str, str], ...]


Patch = Bug | Rewrite
ELISION = "[...]"


def patched(patch: Patch) -> str:
    """The whole new text of the unit's file. Raises `ValueError` for a patch that is stale."""
    text = UNITS[patch.unit].text
    for old, new in patch.edits:
        head, elided, tail = old.partition(ELISION)
        if text.count(head) != 1:
            raise ValueError(f"{patch.name}: {text.count(head)} places hold\n{head}")
        start = text.index(head)
        end = text.find(tail, start + len(head)) if elided else start + len(head)
        if end < 0:
            raise ValueError(f"{patch.name}: after its head there is no\n{tail}")
        text = text[:start] + new + text[end + len(tail) :]
    return text


def copy_projects(folder: Path) -> dict[str, Path]:
    """Copies of both projects below `folder`, so that nothing is written beside the originals."""
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache", "recorded")
    return {
        name: Path(shutil.copytree(root, folder / name, ignore=ignored))
        for name, root in PROJECTS.items()
    }


def _unit(name: str, kernel: str, project: Literal["examples", "small"], tests: str = "") -> Unit:
    path = "kernels/layer_norm.py" if name.startswith("layer_norm") else f"kernels/{name}.py"
    return Unit(
        name=name, kernel=kernel, project=project, path=path,
        tests=tests or f"tests/test_{name}.py",
    )  # fmt: skip


UNITS = {
    unit.name: unit
    for unit in (
        _unit("softmax", "softmax_kernel", "examples"),
        _unit("cross_entropy", "cross_entropy_kernel", "examples"),
        _unit("dequantize", "dequantize_kernel", "examples"),
        _unit("flip", "flip_kernel", "examples"),
        _unit("layer_norm", "layer_norm_fwd_kernel", "examples"),
        _unit(
            "layer_norm_backward", "layer_norm_bwd_kernel", "examples", "tests/test_layer_norm.py"
        ),
        _unit("matmul", "matmul_kernel", "examples"),
        _unit("rms_norm", "add_rms_norm_kernel", "examples"),
        _unit("rotary", "rotary_kernel", "examples"),
        _unit("segment_sum", "segment_sum_kernel", "small"),
        _unit("dropout", "dropout_kernel", "small"),
        _unit("embedding", "embedding_kernel", "small"),
        _unit("prefix_sum", "prefix_sum_kernel", "small"),
        _unit("axpy", "axpy_kernel", "small"),
        _unit("reverse", "reverse_kernel", "small"),
        _unit("argmax", "argmax_kernel", "small"),
        _unit("row_stats", "row_stats_kernel", "small"),
        _unit("quantize", "quantize_kernel", "small"),
        _unit("ragged_sum", "ragged_sum_kernel", "small"),
        _unit("transpose", "transpose_kernel", "small"),
        _unit("bias_gelu", "bias_gelu_kernel", "small"),
        _unit("histogram", "histogram_kernel", "small"),
    )
}
