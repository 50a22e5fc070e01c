# ruff: noqa
"""Every way to say `@triton.jit` that detection must see. Read as text, never imported."""

import functools
import importlib

import pytest
import torch
import triton
import triton as tr
import triton.language
import triton.language as tl
import triton.runtime.jit as tj
from mylib.triton_utils import triton as compat
from mylib.triton_utils import jit as compat_jit
from triton import jit
from triton import jit as short
from triton.runtime import jit as jit_module
from triton.runtime.jit import jit as deep

loaded = importlib.import_module("triton")
maybe = pytest.importorskip("triton")
my_jit = triton.jit
again = my_jit
either = triton.jit if torch.cuda.is_available() else (lambda fn: fn)
fallback = None or triton.jit
configured = triton.jit(do_not_specialize=["n"])
partial = functools.partial(triton.jit, noinline=True)
wrapping = lambda fn: triton.jit(fn, noinline=True)


def applies(fn):
    return triton.jit(fn)


def with_options(**options):
    def inner(fn):
        return triton.autotune(configs=[], key=[])(triton.jit(**options)(fn))

    return inner


@functools.lru_cache
def cached():
    return triton.jit


class Holder:
    def __init__(self, fn):
        self.fn = triton.jit(fn)


@triton.jit
def plain(x_ptr, n, BLOCK: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    tl.store(x_ptr + offs, 0.0, mask=offs < n)
    # a trailing comment of the body

@triton.jit()
def called(x): pass


@triton.jit(
    do_not_specialize=["n"],
)
def options(
    x,
    n,
):
    """Docstring."""
    return (
        x +
        n
    )


@jit
def by_name(x): pass


@short
def by_alias(x): pass


@tr.jit
def module_alias(x): pass


@tj.jit
def submodule(x): pass


@jit_module.jit
def from_submodule(x): pass


@deep
def from_deep(x): pass


@compat.jit
def through_compat(x): pass


@compat_jit
def jit_through_compat(x): pass


@loaded.jit
def by_import_module(x): pass


@maybe.jit
def by_importorskip(x): pass


@my_jit
def by_variable(x): pass


@again
def by_second_variable(x): pass


@either
def by_condition(x): pass


@fallback
def by_or(x): pass


@configured
def by_configured(x): pass


@partial
def by_partial(x): pass


@functools.partial(triton.jit, noinline=True)
def by_inline_partial(x): pass


@wrapping
def by_lambda(x): pass


@applies
def by_function(x): pass


@with_options(noinline=True)
def by_factory(x): pass


@cached()
def by_cached(x): pass


@Holder
def by_class(x): pass


@triton.autotune(configs=[triton.Config({"BLOCK": 64})], key=["n"])
@triton.heuristics({"EVEN": lambda args: args["n"] % 64 == 0})
@triton.jit
def tuned(x, n, BLOCK: tl.constexpr, EVEN: tl.constexpr): pass


@libentry()
@triton_dejavu.autotune(configs=[], key=[])
@triton.jit
def under_customs(x): pass


@triton.jit
@some_other
def above_another(x): pass


@(triton.jit)
def parenthesised(x): pass


@triton.jit  # with a comment
# and another
def commented(x): pass


def made_later(x): pass


made = triton.jit(made_later)


def made_with_options(x): pass


made_too = triton.autotune(configs=[], key=[])(triton.jit(noinline=True)(made_with_options))


def outer():
    @triton.jit
    def in_function(x): pass

    import triton as local

    @local.jit
    def by_local_import(x):
        def not_a_kernel(y): return y

    return in_function


class Space:
    @staticmethod
    @triton.jit
    def in_class(x): pass

    class Inner:
        @triton.jit
        def in_inner_class(x): pass


if torch.cuda.is_available():

    @triton.jit
    def in_if(x): pass

else:

    def in_if(x):
        raise RuntimeError

try:
    from triton import jit as tried
except ImportError:
    tried = None

with torch.no_grad():
    for _ in range(1):
        while False:
            @tried
            def in_try(x): pass

@triton.jit
def unicode_ядро(x): return x  # 核 🚀
