"""The few numbers about chips that evaluation needs, each with its source.

gfx90a (one die of an MI250X): "AMD Instinct MI250X Accelerator" data sheet and the
CDNA 2 instruction set manual. gfx942 (MI300X): "AMD Instinct MI300X Accelerator" data
sheet (304 compute units, 192 GB, 5.3 TB/s, 256 MB Infinity Cache) and the CDNA 3
instruction set manual (wave64, 64 KiB LDS, 512 vector registers a lane). gfx950
(MI355X): "AMD Instinct MI355X GPU" data sheet (256 compute units, 288 GB, 8 TB/s,
256 MB Infinity Cache) and the CDNA 4 instruction set manual (160 KiB LDS). sm_80 (A100
80 GB SXM) and sm_90 (H100 SXM): NVIDIA's "Ampere" and "Hopper Architecture In-Depth"
white papers and the CUDA C++ Programming Guide, table "Technical Specifications per
Compute Capability" (shared memory and registers per multiprocessor).

Checked against AMD's page "AMD GPU specifications" (rocm.docs.amd.com): units, lanes,
LDS, register file, caches and memory of gfx950 (MI355X), and of gfx942 by its MI325X
row, the same but for memory. Written from knowledge of the sources above, not looked up
again: everything of gfx90a, sm_80 and sm_90, and every bandwidth and clock.

An architecture is not a product: `sm_90` is also the H200 (141 GB, 4.8 TB/s) and
`gfx942` the MI325X (256 GB, 6 TB/s). Bandwidths and sizes below are the named product's;
AMD's `l2_bytes` are those of one die, of which an MI300X has eight.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chip:
    """One product of an architecture. Bytes, bytes a second, kHz.

    `units` are compute units or streaming multiprocessors, `lanes` those of a wavefront
    or warp, `registers_per_unit` 32-bit registers. `llc_bytes` is the last cache before
    memory: AMD's Infinity Cache where there is one, else the L2. `clock_khz` is the
    vendor's peak engine clock.
    """

    name: str
    units: int
    lanes: int
    shared_bytes_per_unit: int
    shared_bytes_per_block: int
    registers_per_unit: int
    l2_bytes: int
    llc_bytes: int
    memory_bytes: int
    bandwidth: int
    clock_khz: int


CHIPS = {
    "gfx90a": Chip(
        name="AMD Instinct MI250X",
        units=110,
        lanes=64,
        shared_bytes_per_unit=64 << 10,
        shared_bytes_per_block=64 << 10,
        registers_per_unit=128 << 10,
        l2_bytes=8 << 20,
        llc_bytes=8 << 20,
        memory_bytes=64 << 30,
        bandwidth=1_638_000_000_000,
        clock_khz=1_700_000,
    ),
    "gfx942": Chip(
        name="AMD Instinct MI300X",
        units=304,
        lanes=64,
        shared_bytes_per_unit=64 << 10,
        shared_bytes_per_block=64 << 10,
        registers_per_unit=128 << 10,
        l2_bytes=4 << 20,
        llc_bytes=256 << 20,
        memory_bytes=192 << 30,
        bandwidth=5_300_000_000_000,
        clock_khz=2_100_000,
    ),
    "gfx950": Chip(
        name="AMD Instinct MI355X",
        units=256,
        lanes=64,
        shared_bytes_per_unit=160 << 10,
        shared_bytes_per_block=160 << 10,
        registers_per_unit=128 << 10,
        l2_bytes=4 << 20,
        llc_bytes=256 << 20,
        memory_bytes=288 << 30,
        bandwidth=8_000_000_000_000,
        clock_khz=2_400_000,
    ),
    "sm_80": Chip(
        name="NVIDIA A100-SXM4-80GB",
        units=108,
        lanes=32,
        shared_bytes_per_unit=164 << 10,
        shared_bytes_per_block=163 << 10,
        registers_per_unit=64 << 10,
        l2_bytes=40 << 20,
        llc_bytes=40 << 20,
        memory_bytes=80 << 30,
        bandwidth=2_039_000_000_000,
        clock_khz=1_410_000,
    ),
    "sm_90": Chip(
        name="NVIDIA H100 80GB HBM3",
        units=132,
        lanes=32,
        shared_bytes_per_unit=228 << 10,
        shared_bytes_per_block=227 << 10,
        registers_per_unit=64 << 10,
        l2_bytes=50 << 20,
        llc_bytes=50 << 20,
        memory_bytes=80 << 30,
        bandwidth=3_350_000_000_000,
        clock_khz=1_980_000,
    ),
}


MAX_THREADS = 1024
"""Of a block, on every chip here: CUDA C++ Programming Guide, "Technical Specifications per
Compute Capability"; for AMD it is the bound that Triton writes into its code objects."""

FASTEST_BANDWIDTH = {
    "gfx90a": 1_638_000_000_000,
    "gfx942": 6_000_000_000_000,
    "gfx950": 8_000_000_000_000,
    "sm_80": 2_039_000_000_000,
    "sm_90": 4_900_000_000_000,
}
"""Bytes a second of the fastest product of each architecture: MI250X (one die), MI325X,
MI355X, A100 80 GB, and GH200 with HBM3e. What reads faster has not read."""


def chip(arch: str) -> Chip:
    """The table's row for `arch`. An unknown one raises `KeyError` naming those known."""
    if arch not in CHIPS:
        raise KeyError(f"no hardware facts for {arch}; known are {', '.join(CHIPS)}")
    return CHIPS[arch]


def triton_target(arch: str) -> tuple[str, int | str, int]:
    """Arguments of Triton's `GPUTarget` for `arch`: backend, its spelling, lanes."""
    if arch.startswith("gfx"):
        return "hip", arch, 64 if arch.startswith("gfx9") else 32
    return "cuda", int(arch.removeprefix("sm_").rstrip("af")), 32


def capability(arch: str) -> tuple[int, int]:
    """What torch calls the compute capability: (9, 0) for `sm_90`, (9, 4) for `gfx942`."""
    if arch.startswith("gfx"):
        return int(arch[3:-2]), int(arch[-2], 16)
    digits = arch.removeprefix("sm_").rstrip("af")
    return int(digits[:-1]), int(digits[-1])
