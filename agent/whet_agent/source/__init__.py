"""Reads Python text: kernels, units, edits, the map from kernels to tests. Pure but for `codebase`."""
