# ruff: noqa
"""What looks like `@triton.jit` and is not. Read as text, never imported."""

import jax
import numba
import tilelang
import torch
import triton_dist
from numba import jit
from numba import njit as triton_like
from triton.experimental import gluon
from triton.experimental.gluon import jit as gluon_jit


def contains(x):
    import triton

    @triton.jit
    def the_only_kernel(y): pass

    return the_only_kernel


@numba.jit
def numba_function(x): pass


@jit
def numba_by_name(x): pass


@jit(nopython=True)
def numba_called(x): pass


@triton_like
def numba_alias(x): pass


@torch.jit.script
def script(x): pass


@jax.jit
def traced(x): pass


@tilelang.jit(out_idx=[-1])
def tiled(x): pass


@triton_dist.jit
def distributed(x): pass


@gluon.jit
def gluon_kernel(x): pass


@gluon_jit
def gluon_by_name(x): pass


@contains
def decorated_by_a_launcher(x): pass


class Jit:
    def __init__(self, fn):
        self.fn = fn


@Jit
def by_own_class(x): pass


@property
def nothing(x): pass


"""
@triton.jit
def in_a_string(x): pass
"""
# @triton.jit
def commented_out(x): pass
