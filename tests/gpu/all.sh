#!/usr/bin/env bash
# All that needs a clock, in seven parts of under ten minutes each, so that a device held for a
# quarter of an hour is enough for any. Tables and logs go to OUT; a part goes on after a failure and ends
# with the number of commands that failed.
#
#     tests/gpu/all.sh OUT first|second|third|fourth|fifth|sixth|seventh [PYTHON [WHET_PYTHON]]
#
# PYTHON has torch, triton and pytest, WHET_PYTHON what Whet itself needs: where they are one, its
# pytest plugins burden every test. All are taken from the project's root.
set -uo pipefail
cd "$(dirname "$0")/../.."
out=$(realpath -m "${1:?where the tables go}")
part=${2:?first to seventh}
python=$(command -v "${3:-python3}")
case $python in /*) ;; *) python=$PWD/$python ;; esac
own=$(command -v "${4:-$python}")
case $own in /*) ;; *) own=$PWD/$own ;; esac
if ! "$own" -c "import whet_server" 2>/dev/null; then
  export PYTHONPATH="$PWD/server:$PWD/agent:$PWD/evaluator${PYTHONPATH:+:$PYTHONPATH}"
fi
export WHET_PYTHON="$python"
mkdir -p "$out"
whet="$out/whet"
printf '#!/bin/sh\nexec "%s" -m whet_server "$@"\n' "$own" >"$whet"
chmod +x "$whet"
n_failed=0

try() { # try SECONDS NAME COMMAND...
  local limit=$1 name=$2 began=$SECONDS status
  shift 2
  timeout --kill-after=10 "$limit" "$@" >"$out/$name.log" 2>&1
  status=$?
  echo "$name: exit $status, $((SECONDS - began)) s"
  [ "$status" -eq 0 ] || { n_failed=$((n_failed + 1)); tail -n 5 "$out/$name.log"; }
}

examples() { # examples NAME...
  try 580 examples "$own" benchmarks/examples_gpu.py --whet "$whet" --python "$python" \
    --events "$out/events" --out "$out/examples_$part.md" "$@"
}

case $part in
  first)
    try 150 turnaround "$own" benchmarks/turnaround.py --python "$python" --candidates 8 \
      --out "$out/turnaround_h200.md"
    try 100 isolation "$own" tests/gpu/try_isolation.py --python "$python" --out "$out/isolation_h200.md"
    try 240 evidence "$own" tests/gpu/try_evidence.py --whet "$whet" --out "$out/evidence_h200.md"
    ;;
  second)
    try 580 aa env PYTHONPATH="$PWD/evaluator" "$python" benchmarks/aa.py --seconds 530 --out "$out/aa_h200.md" --raw "$out/aa_samples.jsonl"
    ;;
  third)
    try 580 seeded "$own" benchmarks/seeded.py --python "$python" --device --no-tests --timed --workers 8 --differential-s 8 \
      --seconds 560 --out "$out/seeded_bugs_h200.md"
    ;;
  fourth)
    try 260 evaluator "$own" benchmarks/evaluator.py --python "$python" --candidates 8 --busy 20 \
      --out "$out/evaluator_h200.md"
    try 180 stumbles env -C examples "$whet" optimize --trust --json \
      kernels/softmax.py::softmax_kernel --replay recorded/softmax_stumbles
    ;;
  fifth)
    try 230 clock "$own" tests/adversarial/gpu.py --python "$python" --part clock --seconds 210 \
      --out "$out/tricks_clock_h200.md"
    try 150 timing "$python" tests/gpu/try_timing.py
    try 150 occupants "$own" tests/gpu/try_occupants.py --python "$python" --out "$out/occupants_h200.md"
    ;;
  sixth) examples softmax flip layer_norm matmul ;;
  seventh) examples rms_norm rotary dequantize cross_entropy ;;
  *) echo "no part is called $part" >&2; exit 2 ;;
esac
exit "$n_failed"
