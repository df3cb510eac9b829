"""What a GPU says of itself: its temperature and the power it draws, where NVIDIA's library is installed and tells."""

from __future__ import annotations

import os
from typing import Any


class Sensors:
    """The first visible GPU, by NVML (package nvidia-ml-py). Without the package, the driver or a GPU it says nothing."""

    def __init__(self, device: str):
        """`device` is "cuda" or "cpu"."""
        self._nvml: Any = None
        if device != "cuda":
            return
        try:
            import pynvml

            pynvml.nvmlInit()
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
            # A number, or the name that NVML itself gave the card.
            self._card = (
                pynvml.nvmlDeviceGetHandleByIndex(int(visible))
                if visible.isdigit()
                else pynvml.nvmlDeviceGetHandleByUUID(visible)
            )
            self._nvml = pynvml
        except Exception:  # whatever it is, a training does not end for the want of a thermometer
            self._nvml = None

    def read(self) -> dict[str, float]:
        """`celsius` and `watts`, those of them that the card tells."""
        if self._nvml is None:
            return {}
        found = {}
        for name, ask in (
            ("celsius", lambda: self._nvml.nvmlDeviceGetTemperature(self._card, self._nvml.NVML_TEMPERATURE_GPU)),
            ("watts", lambda: self._nvml.nvmlDeviceGetPowerUsage(self._card) / 1000),
        ):
            try:
                found[name] = float(ask())
            except Exception:  # some cards tell one and not the other
                continue
        return found
