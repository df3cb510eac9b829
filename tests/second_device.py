"""A second device on a machine that has but its CPU: a card that is not there, whose tensors the CPU computes all the same.

As with two GPUs, a tensor of the one and a tensor of the other in one operation are an error: what passes has put everything
where it belongs. Made of a subclass of torch.Tensor and of what torch has for backends that are written in Python.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.utils import backend_registration
from torch.utils._pytree import tree_flatten, tree_map

NAME = "card"
aten = torch.ops.aten


class OnCard(torch.Tensor):
    """A tensor of the card; `inner` is the one that the CPU has."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor):
        with torch.inference_mode(False):  # a view of one that was made in this mode could not be
            made = torch.Tensor._make_wrapper_subclass(
                cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
                device=f"{NAME}:0",
            )  # fmt: skip
        made.inner = inner
        return made

    def __repr__(self, *args: Any, **kwargs: Any) -> str:
        return f"OnCard({self.inner})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.inner.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _computed(operation, args, kwargs or {})


class _Module(backend_registration._DummyBackendModule):
    """What torch asks of a kind of device. Its random numbers are those of the CPU."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, *_: Any) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, *_: Any) -> None:
        pass


@functools.cache
def begin() -> torch.library.Library:
    """From now on this process has a device of the name "card"."""
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    # Where a tensor of the card is made there is none yet whose class could tell what is to be done.
    made = torch.library.Library("aten", "IMPL")
    made.impl("empty.memory_format", _empty, "PrivateUse1")
    made.impl("empty_strided", _empty_strided, "PrivateUse1")
    made.impl("_copy_from", _copy, "PrivateUse1")
    return made


def at_home(value: Any) -> Any:
    """The same with all its tensors on the CPU: what writes files asks for the memory that a tensor lies in."""
    return tree_map(_inner, value)


def _empty(size: Any, *, dtype: Any = None, **_: Any) -> OnCard:
    return OnCard(torch.empty(size, dtype=dtype))


def _empty_strided(size: Any, stride: Any, *, dtype: Any = None, **_: Any) -> OnCard:
    return OnCard(torch.empty_strided(size, stride, dtype=dtype))


def _copy(source: torch.Tensor, to: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    _inner(to).copy_(_inner(source))
    return to


def _computed(operation: Any, args: tuple, kwargs: dict) -> Any:
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, OnCard)]
    if operation is aten.copy_.default:
        return _copy(args[1], args[0])
    wanted = kwargs.get("device")
    if wanted is not None:
        on_card = torch.device(wanted).type == NAME
        kwargs = {**kwargs, "device": "cpu"}
    else:
        on_card = bool(there)
        # A single number of the CPU may stand beside tensors of any device.
        strangers = [tensor for tensor in tensors if not isinstance(tensor, OnCard) and tensor.dim()]
        if there and strangers:
            raise RuntimeError(f"{operation}: tensors of the card and of the CPU")
    made = operation(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    known = {id(tensor.inner): tensor for tensor in there}  # what is changed in place stays the same

    def on_its_device(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or not on_card:
            return value
        return known.get(id(value)) if id(value) in known else OnCard(value)

    return tree_map(on_its_device, made)


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, OnCard) else value
