"""Fourier transforms of plain arrays: numpy's own, with the options of the array API standard."""

from __future__ import annotations

import numpy as np
from numpy.fft import (
    fft,
    fft2,
    fftn,
    fftshift,
    hfft,
    ifft,
    ifft2,
    ifftn,
    ifftshift,
    ihfft,
    irfft,
    irfft2,
    irfftn,
    rfft,
    rfft2,
    rfftn,
)
from numpy.typing import DTypeLike, NDArray

from tapegrad.numpy.creation import Device

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift",
    "ihfft", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip


def fftfreq(
    n: int, /, d: float = 1.0, *, dtype: DTypeLike | None = None, device: Device = None
) -> NDArray[np.floating]:
    """The frequencies of a transform of n samples, d apart."""
    found = np.fft.fftfreq(n, d, device=device)
    return found if dtype is None else found.astype(dtype)


def rfftfreq(
    n: int, /, d: float = 1.0, *, dtype: DTypeLike | None = None, device: Device = None
) -> NDArray[np.floating]:
    """The frequencies that are not negative."""
    found = np.fft.rfftfreq(n, d, device=device)
    return found if dtype is None else found.astype(dtype)
