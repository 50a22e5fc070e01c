"""Doubles for tests, demos and simulations: shipped and typed like everything else."""
