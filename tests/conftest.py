"""Settings of all tests."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# What an example may take depends on what else the machine does; pytest's timeout ends what hangs.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

# Shells let background jobs ignore Ctrl-C, and a run that was started so respects that: not what tests are about.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Containers often ask Python to keep no compiled modules: each of hundreds of processes would compile visionsim again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
