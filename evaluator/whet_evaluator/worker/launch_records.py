"""What is known of a kernel's launches, as frozen records: arguments, traffic, compiled code.

Part of what crosses the wire, as `records` is. Traffic is *counted* by running the kernel
on Triton's interpreter; facts of compiled code are *estimated*. Nothing here was measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One argument of a recorded kernel launch.

    `type` is Triton's own spelling (`*fp32`, `i32`, `fp32`, `constexpr`); `value` is
    the scalar or constexpr, None for a pointer; `divisible_by_16` is what Triton's
    specialisation would find (`tt.divisibility`).
    """

    name: str
    type: str
    value: int | float | bool | str | None = None
    divisible_by_16: bool = False
    shape: tuple[int, ...] | None = None
    strides: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Traffic of one launch, counted element by element on the interpreter.

    Bytes are of active lanes only. `compulsory_bytes` is the size of every distinct
    byte touched: what a perfect cache would still have to move. `dot_flops` counts
    two per multiply-add of `tl.dot`.
    """

    loaded_bytes: int
    stored_bytes: int
    atomic_bytes: int
    compulsory_bytes: int
    dot_flops: int
    programs: int
    transactions: int
    """64-byte segments touched per wavefront of 64 lanes, loads and stores together."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One distinct specialisation of one kernel, as a test launched it."""

    kernel: str
    grid: tuple[int, ...]
    arguments: tuple[Argument, ...]
    options: dict[str, int | bool | str | None] = field(default_factory=dict)
    """`num_warps`, `num_stages` and the backend's own; only what was given or tuned."""
    nodeid: str = ""
    count: int = 1
    """How many launches of the recorded tests had exactly this specialisation."""
    counted: Counted | None = None
    entry: str | None = None
    """Outermost launcher of the unit on the stack, or None when the test launched it."""


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """Facts read from code compiled for `arch` (`gfx942`, `sm_90`): *estimated*, never measured.

    Widths map bytes per lane and access to the number of such instructions.
    `occupancy` is waves per SIMD (AMD) or warps per scheduler as the compiler
    states it, None when it does not.
    """

    kernel: str
    arch: str
    vgprs: int | None = None
    agprs: int | None = None
    sgprs: int | None = None
    spills: int | None = None
    lds_bytes: int | None = None
    scratch_bytes: int | None = None
    occupancy: int | None = None
    load_widths: dict[str, int] = field(default_factory=dict)
    store_widths: dict[str, int] = field(default_factory=dict)
    matrix_instructions: int = 0
    instructions: int = 0
    guessed_signature: bool = False
    triton: str = ""
