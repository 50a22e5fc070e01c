"""Every trick and control through the real evaluator on a device; prints the table.

`python tests/adversarial/gpu.py --out FILE [--part clock|outputs] [--seconds 480]
[--only NAME|NAME]`. The part
*clock* times its candidates (tricks against the clock, and some controls), on inputs large
enough for it; *outputs* is what `make adversarial` runs without a device, untimed. Exits 1
when a trick is accepted, a control rejected or something was left out for want of time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), *(str(HERE.parents[1] / part) for part in ("agent", "evaluator"))]

from cheats import CHEATS
from controls import CONTROLS
from corpus import PROJECT, Cheat, Control
from judging import Judge, Row, large_project, line, markdown, summary


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", choices=("clock", "outputs"), default="clock")
    parser.add_argument("--seconds", type=float, default=480.0)
    parser.add_argument("--python", default=sys.executable, help="one with torch and triton")
    parser.add_argument("--differential", type=float, default=1.5, help="seconds a candidate")
    parser.add_argument("--only", default="", help="names that hold one of these, joined by |")
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    timed = options.part == "clock"
    corpus: tuple[Cheat | Control, ...] = (*CHEATS, *CONTROLS)
    if timed:
        wanted = [c for c in corpus if (c.clock if isinstance(c, Cheat) else c.unit == "add")]
    else:
        wanted = [c for c in corpus if not c.clock]
    wanted = [c for c in wanted if any(part in c.name for part in options.only.split("|"))]
    with tempfile.TemporaryDirectory() as folder:
        project = large_project(Path(folder)) if timed else PROJECT
        async with Judge.start(
            options.python, project=project, timed=timed, differential_s=options.differential
        ) as judge:
            rows = await judge.rows(wanted, at_once=2, until=until, on_row=_say)
    left_out = len(wanted) - len(rows)
    text = f"# Tricks on a device: {options.part}\n\n{summary(rows)}"
    text += f" {left_out} left out for want of time.\n\n" if left_out else "\n\n"
    options.out.write_text(text + markdown(rows) + "\n", encoding="utf-8")
    print(text)
    return 0 if all(row.held or row.gap for row in rows) and not left_out else 1


def _say(row: Row) -> None:
    print(line(row), flush=True)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
