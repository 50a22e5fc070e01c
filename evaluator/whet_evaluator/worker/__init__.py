"""The part that runs in the user's Python: standard library only, Python 3.10 and later.

Nothing here may import from `whet_evaluator`; the package travels alone, as a zip,
under the name `whet_worker`. Imports between its modules are therefore relative.
"""
