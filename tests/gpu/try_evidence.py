"""Evidence where there is a clock: a run, its verification, and comparisons, through the
real command line on the GPU this runs on.

    python tests/gpu/try_evidence.py --whet WHET [--out evidence.md]

Writes a table of what was expected and seen, and ends with status 1 if they differ.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
KERNEL = "kernels/softmax.py::softmax_kernel"


@dataclass
class Trial:
    """The project, the command that is tried, and the rows of the table so far."""

    whet: str
    root: Path
    environment: dict[str, str]
    rows: list[str] = field(default_factory=list)
    failed: bool = False

    def run(self, *arguments: str) -> tuple[int, list[Any]]:
        """Exit status and standard output as JSON lines."""
        done = subprocess.run(
            [self.whet, *arguments, "--json"], cwd=self.root, env=self.environment, text=True,
            capture_output=True, check=False, timeout=400,
        )  # fmt: skip
        print(f"whet {' '.join(arguments)}: status {done.returncode} {done.stderr}", flush=True)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    def note(self, what: str, expected: object, seen: object, began: float) -> None:
        ok = expected == seen
        self.failed |= not ok
        word = "yes" if ok else "**no**"
        self.rows.append(
            f"| {what} | {expected} | {seen} | {word} | {time.monotonic() - began:.0f} s |"
        )
        print(self.rows[-1], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--whet", default="whet", help="the command to run")
    parser.add_argument("--out", type=Path, help="where the table is written, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="whet-evidence-") as folder:
        trial = make_trial(options.whet, Path(folder))
        best = try_run(trial)
        if best is not None:
            try_comparisons(trial, best)
    head = ["| what | expected | seen | so | took |", "|---|---|---|---|---|"]
    table = "\n".join([*head, *trial.rows]) + "\n"
    if options.out:
        options.out.write_text(table)
    print(table)
    sys.exit(1 if trial.failed else 0)


def make_trial(whet: str, folder: Path) -> Trial:
    root, home = folder / "examples", folder / "home"
    shutil.copytree(ROOT / "examples", root)
    home.mkdir()
    environment = os.environ | {
        "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home), "WHET_TRUST": "1",
        "WHET_STORE": str(home / "runs.sqlite"), "WHET_SWEEP": "false",
        "WHET_PYTHON": os.environ.get("WHET_PYTHON", sys.executable),
    }  # fmt: skip
    subprocess.run([whet, "trust"], cwd=root, env=environment, check=True)
    return Trial(whet=whet, root=root, environment=environment)


def try_run(trial: Trial) -> dict[str, Any] | None:
    """A measured best, its evidence repeated, and the same after one changed character."""
    began = time.monotonic()
    status, lines = trial.run("optimize", KERNEL, "--replay", "recorded/softmax.md")
    best: dict[str, Any] | None = lines[-1]["best"] if lines else None
    how = best["evidence"]["how"] if best else None
    trial.note("optimize: status, kind of evidence", (0, "measured"), (status, how), began)
    if best is None:
        return None
    run = lines[-1]["run"]
    began = time.monotonic()
    status, lines = trial.run("verify", run)
    said = {check["what"]: check["status"] for check in lines[0]["checks"]}
    seen = (status, said.get("correctness"), said.get("timing"))
    trial.note("verify: status, correctness, timing", (0, "holds", "holds"), seen, began)
    for check in lines[0]["checks"]:
        print("   ", check["status"], check["sentence"])
    tests = trial.root / "tests" / "test_softmax.py"
    before = tests.read_text()
    tests.write_text(before.replace("777", "776"))
    began = time.monotonic()
    status, lines = trial.run("verify", run, "--hashes")
    changed = [check["what"] for check in lines[0]["checks"] if check["status"] == "changed"]
    expected = (1, ["tests/test_softmax.py"])
    trial.note("verify after one character: status, changed", expected, (status, changed), began)
    tests.write_text(before)
    return best


def try_comparisons(trial: Trial, best: dict[str, Any]) -> None:
    """The better text against the old one, and the other way round."""
    file, other = trial.root / "kernels" / "softmax.py", trial.root.parent / "other.py"
    original = file.read_text()
    for what, now, against, expected in (
        ("better against old", best["text"], original, (0, "faster", "compiled only")),
        ("old against better", original, best["text"], (1, "slower", "compiled only")),
    ):
        file.write_text(now)
        other.write_text(against)
        began = time.monotonic()
        status, lines = trial.run("compare", KERNEL, "--against", str(other), "--also", "gfx942")
        words = [one["verdict"] for one in lines[0]["targets"]] if lines else []
        trial.note(f"compare {what}: status, here, gfx942", expected, (status, *words), began)
        print("   ", lines[0]["sentence"] if lines else "nothing was said")
    file.write_text(original)


if __name__ == "__main__":
    main()
