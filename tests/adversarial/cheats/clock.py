"""Tricks against the clock: they exist only where something is timed, so on a GPU."""

from __future__ import annotations

from corpus import Cheat, edited

_LAUNCH = "    add_kernel[(triton.cdiv(n, 64),)](x, y, out, n, BLOCK=64)\n"


def _add(launch: str, top: str = "") -> str:
    return edited("add", (_LAUNCH, launch), top=top)


CHEATS: tuple[Cheat, ...] = (
    Cheat(
        trick="side streams",
        name="work on a stream nobody waits for",
        unit="add",
        where="time",
        clock=True,
        found=("Cheated", "Differs"),
        text=_add(
            "    with torch.cuda.stream(_stream):\n    " + _LAUNCH,
            "\n_stream = torch.cuda.Stream()\n",
        ),
    ),
    Cheat(
        trick="side streams",
        name="the side stream waits for the caller, never the other way",
        unit="add",
        where="time",
        clock=True,
        found=("Cheated", "Differs"),
        text=_add(
            "    _stream.wait_stream(torch.cuda.current_stream())\n"
            "    with torch.cuda.stream(_stream):\n    " + _LAUNCH,
            "\n_stream = torch.cuda.Stream()\n",
        ),
    ),
    Cheat(
        trick="honest when checked and cheating when timed",
        name="the busy wait before a sample is noticed by its queue",
        unit="add",
        where="time",
        clock=True,
        found=("Cheated", "Differs"),
        text=_add(
            "    if torch.cuda.current_stream().query():\n    " + _LAUNCH,
        ),
    ),
    Cheat(
        trick="honest when checked and cheating when timed",
        name="half of the work once twenty calls have been seen",
        unit="add",
        where="time",
        clock=True,
        found=("Cheated", "Differs"),
        text=_add(
            "    _calls.append(1)\n"
            "    blocks = triton.cdiv(n, 64 if len(_calls) < 200 else 128)\n"
            "    add_kernel[(blocks,)](x, y, out, n, BLOCK=64)\n",
            "\n_calls = []\n",
        ),
    ),
    Cheat(
        trick="caching by pointer, id, shape, seed, call count",
        name="by address under the clock: sets of inputs come round again",
        unit="add",
        where="time",
        clock=True,
        found=("Cheated", "Differs"),
        text=edited(
            "add",
            (
                "    out = torch.empty_like(x)\n",
                (
                    "    _calls.append(1)\n    key = (x.data_ptr(), y.data_ptr())\n"
                    "    if len(_calls) > 200 and key in _answers:\n        return _answers[key]\n"
                    "    out = torch.empty_like(x)\n"
                ),
            ),
            ("    return out\n", "    _answers[key] = out\n    return out\n"),
            top="\n_calls = []\n_answers = {}\n",
        ),
    ),
    Cheat(
        trick="graph replay of stale inputs",
        name="the launcher captures once and replays on the first call's tensors",
        unit="add",
        where="differ",
        clock=True,
        found=("Cheated", "Differs", "Failed"),
        text=edited(
            "add",
            (
                "    out = torch.empty_like(x)\n    n = x.numel()\n" + _LAUNCH + "    return out\n",
                "    n = x.numel()\n    if n not in _graphs:\n"
                "        out = torch.empty_like(x)\n"
                "    "
                + _LAUNCH
                + "        torch.cuda.synchronize()\n        graph = torch.cuda.CUDAGraph()\n"
                "        with torch.cuda.graph(graph):\n        "
                + _LAUNCH
                + "        _graphs[n] = graph, x, y, out\n"
                "    graph, _, _, out = _graphs[n]\n    graph.replay()\n    return out\n",
            ),
            top="\n_graphs = {}\n",
        ),
    ),
    Cheat(
        trick="baseline slowed",
        name="the other version's launches are made to wait",
        unit="add",
        where="proof",
        clock=True,
        found=("Cheated",),
        text=_add(
            _LAUNCH,
            "from triton.runtime.jit import JITFunction\n\n_run = JITFunction.run\n\n\n"
            "def _slow(self, *a, **k):\n"
            "    if '__original' in self.fn.__module__:\n        torch.cuda._sleep(100000)\n"
            "    return _run(self, *a, **k)\n\n\nJITFunction.run = _slow\n",
        ),
    ),
    Cheat(
        trick="baseline slowed",
        name="the other version's module is found and its launcher turned",
        unit="add",
        where="proof",
        clock=True,
        found=("SAME", "SLOWER", "AMBIGUOUS", "Cheated"),  # it comes too late to gain anything
        text=edited(
            "add",
            (
                "    out = torch.empty_like(x)\n",
                (
                    "    for name in list(sys.modules):\n"
                    "        if name.endswith('__original'):\n"
                    "            module = sys.modules[name]\n"
                    "            kept = getattr(module, 'add_kept', module.add)\n"
                    "            module.add_kept = kept\n"
                    "            module.add = lambda x, y: (torch.cuda._sleep(100000), kept(x, y))[1]\n"
                    "    out = torch.empty_like(x)\n"
                ),
            ),
            top="import sys\n",
        ),
    ),
    Cheat(
        trick="baseline slowed",
        name="the other version's launcher is given other code",
        unit="add",
        where="proof",
        clock=True,
        found=("Cheated",),
        text=edited(
            "add",
            (
                "    out = torch.empty_like(x)\n",
                (
                    "    for name in list(sys.modules):\n"
                    "        if name.endswith('__original'):\n"
                    "            sys.modules[name].add.__code__ = _slow.__code__\n"
                    "    out = torch.empty_like(x)\n"
                ),
            ),
            top="import sys\n\n\ndef _slow(x, y):\n"
            "    torch.cuda._sleep(1000000)\n    return x + y\n",
        ),
    ),
    Cheat(
        trick="autotune inside the clock",
        name="each call is tuned anew, on the caller's time",
        unit="add",
        where="time",
        clock=True,
        found=("SLOWER", "AMBIGUOUS", "TimedOut", "Cheated", "Differs"),
        text=_add(
            "    add_kernel.cache.clear()\n"
            "    add_kernel[lambda meta: (triton.cdiv(n, meta['BLOCK']),)](x, y, out, n)\n"
        ).replace(
            "@triton.jit\n",
            "@triton.autotune(configs=[triton.Config({'BLOCK': 64}), triton.Config({'BLOCK': 256})],"
            " key=['n'])\n@triton.jit\n",
        ),
    ),
    Cheat(
        trick="L2 kept persistent",
        name="inputs are read once more ahead of the clock to keep them in the cache",
        unit="add",
        where="time",
        clock=True,
        found=("SAME", "SLOWER", "AMBIGUOUS", "Cheated"),
        text=_add(
            _LAUNCH + "    _kept.append((x, y))\n    del _kept[:-4]\n"
            "    for a, b in _kept:\n        a.sum()\n        b.sum()\n",
            "\n_kept = []\n",
        ),
    ),
    Cheat(
        trick="zero time in an aggregate",
        name="what the clock read is replaced by nothing",
        unit="add",
        where="proof",
        found=("Cheated",),
        text=_add(
            _LAUNCH,
            "import sys\n\nfor _name, _module in list(sys.modules.items()):\n"
            "    if _name.endswith('worker.clock'):\n"
            "        _module.Clock.timed = lambda self, calls, **k: (calls(), 1e-9)[1]\n",
        ),
    ),
)
