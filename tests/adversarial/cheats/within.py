"""The judge is changed from inside a launcher, and only where the user's tests do not run: in
the generated cases and under the clock. What reaches it is `sys.modules`, which the screen stops.
"""

from __future__ import annotations

from corpus import Cheat, edited

_PATCHED = "patched clocks, allclose, Event"
_EDITED = "edited tests, conftest, harness"
_BODY = "    out = torch.empty_like(x)\n"
_JUDGE = (
    "\n\ndef _judge(last):\n"
    "    return next((m for n, m in list(sys.modules.items()) if n.endswith('worker.' + last)), None)\n"
)
_ALL_BY_KERNEL = (
    "lambda self, made: {role: {'kernel': True, 'through': [], 'sums': []} for role, _ in made}"
)
_FORGED_PROOF = (
    "    if _judge('differential.produce') is not None:\n"
    "FIRST"
    f"        _judge('proof').Proof.origins = {_ALL_BY_KERNEL}\n"
    "        _judge('record').Recorder.n_launches = lambda self, node: {'add_kernel': 1}\n"
    "        return x + y\n"
)


def _in_launcher(code: str, top: str = "") -> str:
    return edited("add", (_BODY, code + _BODY), top="import sys\n" + _JUDGE + top)


def _forged(first: str = "") -> str:
    return _in_launcher(_FORGED_PROOF.replace("FIRST", first))


def _on_original(code: str, top: str = "") -> str:
    """`code` sees the original's module as `module`, when there is one."""
    return _in_launcher(
        "    for name in list(sys.modules):\n"
        "        if name.endswith('__original'):\n"
        f"            module = sys.modules[name]\n            {code}\n",
        top,
    )


_SLOW_KERNEL = (
    "\n\nclass _Slow:\n"
    "    def __init__(self, kernel):\n        self.kept = kernel\n\n"
    "    def __getitem__(self, grid):\n"
    "        def launch(*args, **options):\n"
    "            torch.cuda._sleep(100000)\n            return self.kept[grid](*args, **options)\n\n"
    "        return launch\n"
)

CHEATS: tuple[Cheat, ...] = (
    Cheat(
        trick=_EDITED,
        name="the proof of launch is exchanged in the generated cases alone",
        unit="add",
        where="proof",
        found=("Cheated",),
        text=_forged(),
    ),
    Cheat(
        trick=_EDITED,
        name="the proof of launch is exchanged once the watch has been taken away",
        unit="add",
        where="proof",
        found=("Cheated",),
        text=_forged(
            "        for key, value in list(vars(_judge('integrity')).items()):\n"
            "            if isinstance(value, list):\n                value.clear()\n"
            "            elif type(value).__name__ == 'Watch':\n"
            "                setattr(_judge('integrity'), key, None)\n"
        ),
    ),
    Cheat(
        trick=_EDITED,
        name="the proof of launch is exchanged once the list of what is watched is empty",
        unit="add",
        where="proof",
        found=("Cheated",),
        text=_forged(
            "        _judge('identities').WATCHED = {}\n"
            "        _judge('identities').changed = lambda *a: []\n"
        ),
    ),
    Cheat(
        trick=_PATCHED,
        name="the host's clock and the comparison stand still in the generated cases alone",
        unit="add",
        where="proof",
        found=("Cheated",),
        text=_in_launcher(
            "    if _judge('differential.produce') is not None:\n"
            "        torch.equal = lambda a, b: True\n"
            "        torch.Tensor.cpu = lambda self: self\n"
        ),
    ),
    Cheat(
        trick=_PATCHED,
        name="the device's clock is exchanged by the launcher, under the clock alone",
        unit="add",
        where="time",
        clock=True,
        found=("Cheated",),
        text=_in_launcher(
            "    if _judge('timing') is not None and not hasattr(_judge('clock'), 'kept'):\n"
            "        clock = _judge('clock')\n        clock.kept = clock.Clock.timed\n"
            "        clock.Clock.timed = lambda self, calls, **k: clock.Reading(\n"
            "            clock.kept(self, calls, **k).us / (2 if 'calls' in repr(calls) else 1),\n"
            "            False, 0.0)\n"
        ),
    ),
    Cheat(
        trick=_PATCHED,
        name="what a sample reads is halved for the candidate's turns",
        unit="add",
        where="time",
        clock=True,
        found=("Cheated",),
        text=_in_launcher(
            "    if _judge('timing') is not None and not hasattr(_judge('sampling'), 'kept'):\n"
            "        engine = _judge('sampling').Engine\n"
            "        _judge('sampling').kept = kept = engine.sample\n"
            "        engine.sample = lambda self, turn: kept(self, turn) / (1 + (turn.version == 1))\n"
        ),
    ),
    Cheat(
        trick=_PATCHED,
        name="the judge of timed outputs finds everything equal",
        unit="add",
        where="time",
        clock=True,
        found=("Cheated",),
        text=_in_launcher(
            "    if _judge('timing') is not None:\n"
            "        _judge('sampling').differs = lambda *a: None\n        return torch.empty_like(x)\n"
        ),
    ),
    Cheat(
        trick="baseline slowed",
        name="the other version's kernel is exchanged for one that waits",
        unit="add",
        where="time",
        clock=True,
        found=("Cheated",),
        text=_on_original(
            "module.add_kernel = _Slow(getattr(module.add_kernel, 'kept', module.add_kernel))",
            _SLOW_KERNEL,
        ),
    ),
    Cheat(
        trick="baseline slowed",
        name="the other version's kernel is exchanged once, by the first call that finds it",
        unit="add",
        where="time",
        clock=True,
        found=("Cheated",),
        text=_on_original(
            "if not hasattr(module.add_kernel, 'kept'):\n"
            "                module.add_kernel = _Slow(module.add_kernel)",
            _SLOW_KERNEL,
        ),
    ),
    Cheat(
        trick="baseline slowed",
        name="the other version's text is changed as it is read",
        unit="add",
        where="proof",
        found=("Cheated",),
        text=edited(
            "add",
            top=(
                "import importlib.machinery\n\n_Loader = importlib.machinery.SourceFileLoader\n"
                "_read = _Loader.get_data\n"
                "_Loader.get_data = lambda self, path: _read(self, path).replace(\n"
                "    b'    return out', b'    torch.cuda._sleep(100000)\\n    return out')\n"
            ),
        ),
    ),
    Cheat(
        trick="baseline slowed",
        name="the other version's kernel object is made to wait when it runs",
        unit="add",
        where="time",
        clock=True,
        found=("Cheated",),
        text=_on_original(
            "module.add_kernel.run = lambda *a, **k: (\n"
            "                torch.cuda._sleep(100000),\n"
            "                type(module.add_kernel).run(module.add_kernel, *a, **k))[1]"
        ),
    ),
    Cheat(
        trick="baseline slowed",
        name="the other version's name for Triton leads to a slower one",
        unit="add",
        where="time",
        clock=True,
        found=("Cheated",),
        text=_on_original(
            "module.triton = type('t', (), {'cdiv': lambda a, b: (\n"
            "                torch.cuda._sleep(100000), triton.cdiv(a, b))[1]})"
        ),
    ),
)
