"""Generated cases: equal inputs for the original and a candidate, judged by a third process.

A *case* is JSON, pure data made from recorded calls, launches and a seed:

    {"id": "c017", "name": "softmax(float32[63x781]): rows 64 -> 63",
     "group": "recorded" | "shape" | "layout" | "values" | "alias" | "arguments", "hard": bool,
     "call": like one of `calls.CallRecorder.json()`, "elements": int,
     "values": {"<storage number>": "normal" | "large" | "denormal" | ...}, "seed": int}

and `"dry": True` where it is launched on memory that is never filled (`huge`, `dry`).

A call is `{launcher, args, kwargs, names}`; `module`, `factory`, `grid`, `grad` and
`backward` where they apply (see `launchers`). With `grid` a kernel is launched directly.

- `cases.generate(calls, launches, *, seed, blocks)` is pure and imports no torch. A prefix
  of its list is the best use of a time budget.
- `inputs.build(case, device)` makes fresh tensors, each inside a larger allocation with red
  zones on both sides: `red_zones_intact()`, `snapshot()`; `bare` ones lie as a caller's own do.
- `produce` runs cases in a child that imported one version only, and writes the bytes of
  every output, and what it noticed, to files.
- `judge` compares the original's files with the candidate's in a process that has imported
  neither. Nothing that a candidate patches, caches or returns lazily can reach it.
- `hard` is the generator's claim that a case lies within the recorded contract. It holds
  only once the original has run the case twice with equal bits (or within its own noise),
  red zones intact and no exception.
"""
