"""Devices that torch runs on: CUDA, MPS or CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_gliocam.errors import DeviceError
from napari_gliocam.wording import no_such

if TYPE_CHECKING:
    import torch


def list_devices() -> list[str]:
    """Return the devices of this machine by name, ``"auto"`` first (imports torch)."""
    import torch

    names = ["auto", "cpu"]
    if torch.cuda.is_available():
        names.append("cuda")
    if torch.backends.mps.is_available():
        names.append("mps")
    return names


def choose_device(name: str = "auto") -> torch.device:
    """Return the torch device for a name; ``"auto"`` takes CUDA, then MPS, then the CPU.

    Raises
    ------
    DeviceError
        If the name is unknown or there is no such device.
    """
    import torch

    known = ("auto", "cpu", "cuda", "mps")
    if name not in known:
        raise DeviceError(no_such(name, known, "device"))
    there = list_devices()
    if name == "auto":
        return torch.device(there[-1] if "cuda" not in there else "cuda")
    if name not in there:
        raise DeviceError(
            f'The device "{name}" was asked for and this machine has none that torch can use; '
            'choose "auto" or "cpu".'
        )
    return torch.device(name)


def describe(name: str = "auto") -> str:
    """Return the device in words, such as ``"CPU, 2 threads"``.  Imports torch."""
    import torch

    device = choose_device(name)
    if device.type == "cuda":
        return f"CUDA, {torch.cuda.get_device_name(device)}"
    if device.type == "mps":
        return "Apple GPU (MPS)"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads != 1 else ''}"


@contextmanager
def enough_memory(device: torch.device) -> Iterator[None]:
    """Raise `DeviceError` where torch finds that the memory of a device does not suffice."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"The memory of {device.type.upper()} does not suffice; close other programs that use "
            'it or choose the device "cpu".'
        ) from error
