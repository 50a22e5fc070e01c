"""The policy of a run as a fold over its events. Pure."""
