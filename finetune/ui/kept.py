"""What took long to make, kept for the next who asks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


class Kept:
    """What was made, by its key, the latest used last; made once even where two ask at the same time."""

    def __init__(self, weigh: Callable[[Any], int], most: int) -> None:
        self._weigh, self._most = weigh, most
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            if key in self._values:
                with self._lock:
                    self._values.move_to_end(key)
                    return self._values[key]
            value = make()
            with self._lock:
                self._values[key] = value
                while len(self._values) > 1 and sum(map(self._weigh, self._values.values())) > self._most:
                    self._values.popitem(last=False)
                self._making.pop(key, None)
            return value

    def has(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._values
