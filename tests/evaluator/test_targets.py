"""From target to argument list: words survive every hop, and nothing secret is among them."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet_evaluator import targets
from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Target

WORKER = ["python3", "-I", "-c", targets.BOOT]
ssh_options = list(targets._SSH_OPTIONS)


def check(via: list[str], expected: list[str], **fields: str) -> None:
    assert targets.command_line(Target(via=tuple(via), **fields)) == expected


def test_local_is_the_empty_prefix():
    check([], WORKER)


def test_exec_hops_pass_words_on():
    check(["docker", "exec", "-i", "rocm"], ["docker", "exec", "-i", "rocm", *WORKER])


def test_ssh_gets_one_line():
    check(["ssh", "gpu1"], ["ssh", "gpu1", *ssh_options, shlex.join(WORKER)])


def test_ssh_options_and_what_follows_the_host():
    via = ["ssh", "-p", "2222", "-J", "hop", "me@gpu1", "docker", "exec", "-i", "rocm"]
    line = shlex.join(["docker", "exec", "-i", "rocm", *WORKER])
    check(via, [*via[:6], *ssh_options, line])


def test_ssh_through_ssh_is_quoted_twice():
    inner = shlex.join(["ssh", "b", *ssh_options, shlex.join(WORKER)])
    check(["ssh", "a", "ssh", "b"], ["ssh", "a", *ssh_options, inner])


def test_a_trailing_c_takes_one_line():
    check(["su", "build", "-c"], ["su", "build", "-c", shlex.join(WORKER)])
    check(["bash", "-lc"], ["bash", "-lc", shlex.join(WORKER)])


def test_c_with_its_own_script_passes_words_on():
    via = ["sh", "-c", 'exec "$@"', "sh"]
    check(via, [*via, *WORKER])


def test_setup_runs_first_and_gets_no_input():
    line = '{ module load rocm\n} </dev/null && exec "$@"'
    check([], ["sh", "-lc", line, "sh", *WORKER], setup="module load rocm")


def test_boot_is_one_line_without_an_exclamation_mark():
    assert "!" not in targets.BOOT
    assert "\n" not in targets.BOOT


def test_a_key_in_env_is_refused_by_name_not_value():
    target = Target(name="box", env={"OPENAI_API_KEY": "sk-123"})
    with pytest.raises(EvaluatorError, match="OPENAI_API_KEY") as caught:
        targets.command_line(target)
    assert "sk-123" not in str(caught.value)


def test_env_values_are_not_arguments():
    command = targets.command_line(Target(env={"HSA_OVERRIDE_GFX_VERSION": "9.4.2"}))
    assert "9.4.2" not in " ".join(command)


def test_bundle_is_deterministic_and_complete():
    first = targets.bundle()
    targets.bundle.cache_clear()
    assert targets.bundle() == first
    names = zipfile.ZipFile(io.BytesIO(first)).namelist()
    folder = Path(targets.__file__).parent / "worker"
    files = (file.relative_to(folder).as_posix() for file in folder.rglob("*.py"))
    assert names == sorted(f"whet_worker/{file}" for file in files)


@settings(max_examples=25, deadline=None)
@given(words=st.lists(st.text(st.characters(blacklist_characters="\0", codec="utf-8")), min_size=1))
def test_any_words_survive_a_shell_hop(words):
    script = "import sys;print(ascii(sys.argv[1:]))"
    line = targets._joined(["sh", "-c"], [sys.executable, "-I", "-c", script, *words])
    shown = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == ascii(words)


@pytest.mark.parametrize("version", ["3.10.13", "3.12.1", "3.13.0"])
def test_boot_reads_exactly_its_own_bytes(version, tmp_path):
    """What follows the zip on the pipe is the protocol's, not a buffer's."""
    python = Path.home() / f".pyenv/versions/{version}/bin/python"
    if not python.exists():
        pytest.skip(f"no Python {version} here")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("whet_worker/__init__.py", "")
        archive.writestr("whet_worker/__main__.py", "import os;print(os.read(0, 100).decode())")
    data = buffer.getvalue()
    run = subprocess.run(
        [python, "-I", "-c", targets.BOOT],
        input=b"%d\n%bthe rest" % (len(data), data),
        capture_output=True,
        check=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert run.stdout == b"the rest\n"
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("version", ["3.9.18", "3.8.18"])
def test_boot_says_too_old(version):
    python = Path.home() / f".pyenv/versions/{version}/bin/python"
    if not python.exists():
        pytest.skip(f"no Python {version} here")
    run = subprocess.run(
        [python, "-I", "-c", targets.BOOT], capture_output=True, check=False, input=b"", text=False
    )
    assert targets.TOO_OLD.encode() in run.stderr
