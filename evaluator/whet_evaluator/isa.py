"""The assembly readers, for the host: the worker needs the very same ones."""

from __future__ import annotations

from whet_evaluator.worker.isa import parse_amdgcn, parse_ptx, parse_resource_usage

__all__ = ["parse_amdgcn", "parse_ptx", "parse_resource_usage"]
