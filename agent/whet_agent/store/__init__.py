"""The journal: every event of every run."""
