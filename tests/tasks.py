"""What processes of a pool do in tests. They import it, so it imports little: pytest takes longer than all of this."""

from __future__ import annotations

import os
import time

from visionsim.parallel import tick


def count_to(number: int) -> int:
    for _ in range(number):
        tick()
    return number * number


def tick_for_ever(_: int) -> None:
    while True:
        tick()
        time.sleep(0.01)


def die(_: int) -> None:
    os._exit(3)
