"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# What an example may take depends on what else the machine does; pytest's timeout ends what hangs.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
