"""`make demo`: the real program on three of these examples, with no GPU and no key.

Works on a copy, with a run store of its own, so nothing of yours is touched. The model's
replies are *recorded* (written by hand, see `recorded/README.md`); everything that judges
them is real. Exits non-zero when an outcome is not what the code promises.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
WHET = Path(sys.executable).with_name("whet")

ENDING = """
What a GPU and a key would add
  a GPU   `whet optimize` times the original and each candidate in randomised pairs on it, and
          shows a *measured* speedup with its interval, confirmed on fresh samples. Name one in
          your settings: [targets.NAME] host = "..." (ssh), or run Whet on the GPU machine.
  a key   a model proposes rewrites instead of the recorded replies: set WHET_API_KEY and
          `model.name` (a local endpoint needs no key). Without one the sweep works as it did here.
Everything above was counted on Triton's interpreter or estimated from code compiled for gfx942
(MI300X); nothing was timed, and nothing here has run on AMD hardware.
"""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="whet-demo-") as folder:
        project = Path(folder) / "examples"
        shutil.copytree(HERE, project, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
        whet = Demo(project, Path(folder))
        whet.say("1. Which kernels are here? (nothing is imported)")
        whet.run("kernels", "kernels/softmax.py", "kernels/masked_sum.py", "kernels/flip.py")
        whet.say("2. A red test is fixed (reply: recorded)")
        whet.loop("fix", "masked_sum", "masked_sum_kernel", must="fixed")
        whet.say("3. No model at all: the sweep over launch parameters")
        whet.run("optimize", "kernels/flip.py::flip_kernel", "--no-model")
        whet.say("4. Optimize for MI300X (reply: recorded), accept, and run the tests once more")
        best = whet.loop("optimize", "softmax", "softmax_kernel", must="better")
        whet.run("apply", best)
        whet.run("runs")
        print(ENDING)
    return 0


class Demo:
    """Runs `whet` in the copied project."""

    def __init__(self, project: Path, scratch: Path) -> None:
        self.project = project
        self.environment = {
            **os.environ,
            "WHET_STORE": str(scratch / "runs.sqlite"),
            "WHET_CONFIG": str(scratch / "config.toml"),
            "WHET_TRUST": "1",
            "WHET_PYTHON": sys.executable,
        }

    def say(self, title: str) -> None:
        print(f"\n{'=' * 78}\n{title}\n{'=' * 78}", flush=True)

    def run(self, *arguments: str) -> None:
        print(f"$ whet {' '.join(arguments)}", flush=True)
        subprocess.run([WHET, *arguments], cwd=self.project, env=self.environment, check=True)

    def loop(self, goal: str, name: str, kernel: str, *, must: str) -> str:
        """Runs the loop with the recorded reply and returns the run's id."""
        self.run(goal, f"kernels/{name}.py::{kernel}", "--replay", f"recorded/{name}.md")
        newest = json.loads(self._output("runs", "--json"))[0]
        if not newest["has_best"]:
            raise SystemExit(f"demo: {goal} {kernel} was to end {must}: {newest['sentence']}")
        return str(newest["run"])

    def _output(self, *arguments: str) -> str:
        return subprocess.run(
            [WHET, *arguments], cwd=self.project, env=self.environment, check=True,
            stdout=subprocess.PIPE, text=True,
        ).stdout  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
