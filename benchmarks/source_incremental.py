"""Time from a change of the text to fresh kernels, on a file of 5,750 lines with 500 kernels.

    python benchmarks/source_incremental.py

Fresh kernels means: all names, lines, launchers and digests that lenses and actions show.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from whet_agent.source.units import Document, parse_units

KERNELS = 500
LINES = 5_750

PAIR = """
@triton.jit
def kernel_{n}(x_ptr, y_ptr, n_elements, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offsets, mask=offsets < n_elements)
    tl.store(y_ptr + offsets, x * {n}.0 + SCALE, mask=offsets < n_elements)


def launch_{n}(x):
    y = torch.empty_like(x)
    kernel_{n}[(triton.cdiv(x.numel(), 64),)](x, y, x.numel(), BLOCK=64)
"""


def text_of_500_kernels() -> str:
    head = "import torch\nimport triton\nimport triton.language as tl\n\nSCALE = 2.0\n"
    text = head + "".join(PAIR.format(n=n).replace("    return y\n", "") for n in range(KERNELS))
    return text + "# end\n" * (LINES - text.count("\n"))


def measure(repeats: int, action: Callable[[int], object]) -> list[float]:
    """CPU milliseconds of each turn: other work on the machine does not count."""
    times = []
    for turn in range(repeats):
        start = time.process_time()
        action(turn)
        times.append((time.process_time() - start) * 1e3)
    return times


def main() -> None:
    text = text_of_500_kernels()
    document = Document(text)
    assert len(document.kernels) == KERNELS
    chance = random.Random(0)

    def type_in_a_kernel(_: int) -> None:
        at = document.text.index("x * ", chance.randrange(len(document.text) // 2)) + 4
        document.edit(at, at, "1")
        assert len(document.kernels) == KERNELS

    def type_anywhere(turn: int) -> None:
        """A character at a random place, mostly breaking the syntax; then it is taken back."""
        if turn % 2 == 0:
            place[0] = chance.randrange(len(document.text))
            document.edit(place[0], place[0], chance.choice("x(:' \n"))
        else:
            document.edit(place[0], place[0] + 1, "")
        assert document.kernels is not None

    def add_and_remove_a_line(turn: int) -> None:
        if turn % 2 == 0:
            place[0] = document.text.index("\n", chance.randrange(len(document.text) // 2))
            document.edit(place[0], place[0], "  # a comment\n")
        else:
            document.edit(place[0], place[0] + 14, "")
        assert len(document.kernels) == KERNELS

    place = [0]
    rows = [("whole file, first reading", measure(20, lambda _: parse_units(text)))]
    rows.append(("one character inside a kernel", measure(300, type_in_a_kernel)))
    rows.append(("one line more or less", measure(200, add_and_remove_a_line)))
    rows.append(("one character anywhere, and back", measure(200, type_anywhere)))
    print(f"{text.count(chr(10))} lines, {KERNELS} kernels; CPU time, measured on this machine")
    print(f"{'':42}{'p50 ms':>10}{'p95 ms':>10}{'max ms':>10}")
    for name, times in rows:
        times.sort()
        p95 = times[int(len(times) * 0.95)]
        print(f"{name:42}{statistics.median(times):10.2f}{p95:10.2f}{times[-1]:10.2f}")


if __name__ == "__main__":
    main()
