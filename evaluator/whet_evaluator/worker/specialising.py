"""A recorded launch as Triton's own launcher would specialise it: what there is to compile.

Integers of value one become constants, and divisibility by 16 of pointers and integers is passed
on. A matmul compiled without these used two-byte accesses where it really uses sixteen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from . import hardware
from .launch_records import Argument, Launch

_MAX_BUFFER_BYTES = (1 << 31) - 1


class NotCompiledError(Exception):
    """This launch says too little to compile it; `str()` is the reason."""


@dataclass
class Source:
    """What Triton compiles: one kernel with its specialised signature."""

    jit: Any
    signature: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    descriptors: dict[str, str | None] = field(default_factory=dict)
    """By argument, see `_descriptor`."""
    attributes: dict[tuple[int, ...], list[list[Any]]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    guessed: bool = False

    def key(self) -> str:
        parts = (self.signature, self.constants, self.attributes, self.options)
        return f"{self.jit.fn.__qualname__}{parts!r}"


def kernels_of(module: Any) -> dict[str, Any]:
    """Jit objects of the module by qualified name, as decorated; classes looked into."""
    found: dict[str, Any] = {}
    for value in list(vars(module).values()):
        members = vars(value).values() if isinstance(value, type) else ()
        for candidate in (value, *(getattr(m, "__func__", m) for m in members)):
            function = _function(candidate)
            if function is not None:
                found[function.__qualname__.replace(".<locals>", "")] = candidate
    return found


def _function(value: Any) -> Any:
    """The Python function below a jit object and its autotuner and heuristics, or None."""
    if not hasattr(value, "run") or not hasattr(value, "fn"):
        return None
    while hasattr(value, "fn"):
        value = value.fn
    return value if hasattr(value, "__qualname__") else None


def specialised(kernels: dict[str, Any], launch: Launch, arch: str) -> Source:
    """What `launch` has Triton compile for `arch`. Raises `NotCompiledError`."""
    decorated = kernels.get(launch.kernel)
    if decorated is None:
        raise NotCompiledError("no longer defined at the top of its file")
    jit, tuned = decorated, None
    while hasattr(jit, "fn") and not hasattr(jit, "params"):
        tuned = jit if hasattr(jit, "configs") else tuned
        jit = jit.fn
    source = Source(jit, options=dict(launch.options))
    recorded = {argument.name: argument for argument in launch.arguments}
    _follow_configs(source, tuned, recorded)
    for parameter in jit.params:
        _add_parameter(source, parameter, recorded.get(parameter.name), arch, kernels)
    _spell_attributes(source, arch)
    return source


def _follow_configs(source: Source, tuned: Any, recorded: dict[str, Argument]) -> None:
    """An autotuner that has other configs than the recorded one is taken at its first."""
    if tuned is None:
        return
    for config in tuned.configs:
        if all(k in recorded and recorded[k].value == v for k, v in config.kwargs.items()):
            return
    first = tuned.configs[0]
    source.guessed = True
    for name, value in first.kwargs.items():
        recorded[name] = Argument(name=name, type="constexpr", value=value)
    source.options |= {k: v for k, v in first.all_kwargs().items() if k not in first.kwargs}


def _add_parameter(
    source: Source, parameter: Any, argument: Argument | None, arch: str, kernels: dict[str, Any]
) -> None:
    name = parameter.name
    if argument is None:
        if not parameter.has_default:
            raise NotCompiledError(
                f"its parameter `{name}` was not recorded; the tests' own launches will tell"
            )
        argument = Argument(name=name, type="constexpr", value=parameter.default)
        source.guessed = source.guessed or not parameter.is_constexpr
    is_one = argument.value == 1 and argument.type.startswith(("i", "u")) and argument.type != "u1"
    if parameter.is_constexpr or argument.type == "constexpr":
        source.signature[name] = "constexpr"
        source.constants[name] = _decoded(argument.value, kernels)
    elif is_one and not parameter.do_not_specialize:
        source.signature[name] = "constexpr"
        source.constants[name] = 1
    elif (
        not argument.type.lstrip("*").rstrip("0123456789").isalpha() and "fp8" not in argument.type
    ):
        raise NotCompiledError(f"argument `{name}` of type {argument.type} cannot be rebuilt")
    else:
        source.signature[name] = parameter.annotation_type or argument.type
        source.descriptors[name] = _descriptor(parameter, argument, arch)


def _descriptor(parameter: Any, argument: Argument, arch: str) -> str | None:
    """What Triton's launcher notes of a pointer or an integer: `D`, divisible by 16; `S`, small
    enough for AMD's buffer operations."""
    is_pointer = argument.type.startswith("*")
    is_integer = argument.type.startswith(("i", "u")) and argument.type != "u1"
    if parameter.do_not_specialize or not (is_pointer or is_integer):
        return None
    aligned = not parameter.do_not_specialize_on_alignment
    described = "D" if argument.divisible_by_16 and aligned else ""
    small = arch.startswith("gfx") and is_pointer and _extent(argument)
    return described + "S" if small else described


def _spell_attributes(source: Source, arch: str) -> None:
    """As this Triton's own launcher does: the key of its cache holds them to the letter, and what
    is compiled here is found there only under the same key."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler.compiler import make_backend

    backend = make_backend(GPUTarget(*hardware.triton_target(arch)))
    names = [parameter.name for parameter in source.jit.params]
    constants = {name: source.constants.get(name) for name in names}
    noted = [
        (source.signature[name], source.descriptors.get(name, constants[name])) for name in names
    ]
    try:
        packed = source.jit._pack_args(backend, dict(source.options), constants, noted, None)
        source.attributes = packed[3]
    except Exception:  # another Triton's: what is compiled is the same, found or not
        source.attributes = {
            (number,): backend.parse_attr(source.descriptors[name])
            for number, name in enumerate(names)
            if source.descriptors.get(name)
        }


def _extent(argument: Argument) -> bool:
    """Whether the tensor surely fits AMD's 32-bit buffer offsets."""
    if argument.shape is None or argument.strides is None:
        return False
    reach = sum((n - 1) * abs(s) for n, s in zip(argument.shape, argument.strides) if n)
    return (reach + 1) * 8 <= _MAX_BUFFER_BYTES


def _decoded(value: Any, kernels: dict[str, Any]) -> Any:
    """Constexprs that JSON has no word for, see `record`."""
    if not isinstance(value, str) or not value.startswith("@"):
        return value
    kind, _, text = value[1:].partition(":")
    if kind == "dtype":
        import triton.language as tl

        return tl.dtype(text)
    if kind == "jit" and text in kernels:
        return kernels[text]
    raise NotCompiledError(f"a constant of type {kind} cannot be rebuilt")
