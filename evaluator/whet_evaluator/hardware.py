"""The table of chips, for the host: the worker needs the very same numbers."""

from __future__ import annotations

from whet_evaluator.worker.hardware import CHIPS, Chip, capability, chip, triton_target

__all__ = ["CHIPS", "Chip", "capability", "chip", "triton_target"]
