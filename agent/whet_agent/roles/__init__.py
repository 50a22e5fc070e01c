"""The roles a model plays: Optimizer (plans in words), Generator (writes), Reflector (explains).

Each is a pure function from a `Context` to messages, beside its prompt file.
"""
