"""The small project's tests belong to candidates' workers, not to this suite."""

collect_ignore = ["project"]
