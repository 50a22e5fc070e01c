"""What makes a candidate cheap: shared work, glue kept between candidates, rehearsed sessions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from whet_evaluator.worker.glue import GLUE, KERNELS, Kept

PACKAGE = Path(__file__).resolve().parents[2] / "evaluator"


def in_a_fresh_process(code: str) -> subprocess.CompletedProcess[str]:
    """Forks are only made by a process without threads, which a test runner is not."""
    return subprocess.run(
        [sys.executable, "-c", f"from whet_evaluator.worker import sharing\n{code}"],
        env=os.environ | {"PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def answer_of(code: str) -> Any:
    done = in_a_fresh_process(f"import json, os\n{code}\nprint(json.dumps(answer))")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_shared_work_comes_back_in_order_and_from_several_processes() -> None:
    n_done, answers = answer_of(
        "heard = []\n"
        "answers = sharing.mapped(lambda n: [n * n, os.getpid()], range(9), heard.append)\n"
        "answer = [heard, [*answers, os.getpid()]]"
    )
    *pairs, parent = answers
    assert [square for square, _ in pairs] == [n * n for n in range(9)]
    assert n_done[0] == 0
    assert n_done[-1] == 9
    n_processes = len({pid for _, pid in pairs})
    assert n_processes == min(4, len(os.sched_getaffinity(0)))
    if n_processes > 1:
        assert parent not in {pid for _, pid in pairs}


def test_a_process_with_threads_does_the_work_itself() -> None:
    """A fork would take along locks that nobody opens."""
    pids, parent = answer_of(
        "import threading\n"
        "over = threading.Event()\n"
        "thread = threading.Thread(target=over.wait)\n"
        "thread.start()\n"
        "answer = [sharing.mapped(lambda n: os.getpid(), range(4), lambda n: None), os.getpid()]\n"
        "over.set()"
    )
    assert pids == [parent] * 4


def test_a_crash_in_a_fork_is_a_crash_of_the_stage() -> None:
    """The guardian must see the signal, not a missing answer."""
    done = in_a_fresh_process(
        "import os, signal\n"
        "sharing.mapped(lambda n: os.kill(os.getpid(), signal.SIGSEGV), range(4), lambda n: None)"
    )
    assert done.returncode == -signal.SIGSEGV


def test_glue_is_copied_into_new_caches_and_nothing_else_is(tmp_path: Path) -> None:
    built = tmp_path / "built"
    for path, data in (
        ("A/cuda_utils.cpython-312-x86_64-linux-gnu.so", b"utils"),
        ("B/__triton_launcher.so", b"launcher"),
        ("C/softmax_kernel.cubin", b"kernel"),
        ("C/sneaky.so", b"code"),
    ):
        (built / path).parent.mkdir(parents=True, exist_ok=True)
        (built / path).write_bytes(data)
    glue = Kept(str(tmp_path / "glue"), GLUE)
    glue.harvest(str(built))
    glue.seed(str(tmp_path / "cache"))
    seeded = {str(p.relative_to(tmp_path / "cache")): p for p in (tmp_path / "cache").rglob("*.so")}
    assert {path: file.read_bytes() for path, file in seeded.items()} == {
        "A/cuda_utils.cpython-312-x86_64-linux-gnu.so": b"utils",
        "B/__triton_launcher.so": b"launcher",
    }
    assert not list((tmp_path / "cache").rglob("*.cubin"))


def test_a_candidate_that_changes_its_glue_changes_only_its_own(tmp_path: Path) -> None:
    built, name = tmp_path / "built", "A/cuda_utils.so"
    (built / "A").mkdir(parents=True)
    (built / name).write_bytes(b"honest")
    glue = Kept(str(tmp_path / "glue"), GLUE)
    glue.harvest(str(built))
    glue.seed(str(tmp_path / "first"))
    first = tmp_path / "first" / name
    first.chmod(0o600)
    first.write_bytes(b"poison")
    glue.harvest(str(tmp_path / "first"))  # what is known is not taken anew
    glue.seed(str(tmp_path / "second"))
    assert (tmp_path / "second" / name).read_bytes() == b"honest"


def test_glue_that_was_changed_where_it_is_kept_is_not_given_out(tmp_path: Path) -> None:
    built, name = tmp_path / "built", "A/hip_utils.so"
    (built / "A").mkdir(parents=True)
    (built / name).write_bytes(b"honest")
    glue = Kept(str(tmp_path / "glue"), GLUE)
    glue.harvest(str(built))
    kept = tmp_path / "glue" / name
    kept.chmod(0o600)
    kept.write_bytes(b"poison")
    glue.seed(str(tmp_path / "cache"))
    assert not (tmp_path / "cache" / name).exists()


def test_kept_kernels_are_found_by_triton_in_another_cache(tmp_path: Path) -> None:
    """Its list of a kernel's files names them by their whole path."""
    built, new = tmp_path / "built", tmp_path / "new"
    (built / "K").mkdir(parents=True)
    names = ("add.json", "add.hsaco", "add.ttir")
    for name in names:
        (built / "K" / name).write_text(name)
    paths = {name: str(built / "K" / name) for name in names}
    (built / "K" / "__grp__add.json").write_text(json.dumps({"child_paths": paths}))
    (built / "K" / "__triton_launcher.so").write_bytes(b"glue")
    kept = Kept(str(tmp_path / "kept"), KERNELS)
    kept.harvest(str(built))
    kept.seed(str(new))
    group = json.loads((new / "K" / "__grp__add.json").read_text())
    assert {name: Path(path).read_text() for name, path in group["child_paths"].items()} == {
        name: name for name in names
    }
    assert all(Path(path).is_relative_to(new) for path in group["child_paths"].values())
    assert not list(new.rglob("*.so"))
