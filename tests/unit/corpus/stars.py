# ruff: noqa
from triton import *
from triton.language import *


@jit
def by_star(x): pass


@autotune(configs=[], key=[])
@jit
def tuned_by_star(x): pass
