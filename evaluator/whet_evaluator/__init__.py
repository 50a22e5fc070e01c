"""Judges candidates for Triton kernels: starts workers, ships files, keeps score."""
