"""Importing this imports and compiles all that a run needs: the process does it that runs are forked from."""

from __future__ import annotations

import contextlib
import importlib
import io

from visionsim.cli import main
from visionsim.dataset.schema import check_schema
from visionsim.errors import SchemaError

# What is refused has imported what others import when they begin.
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    main(["create-datasets", "--scenes-dir=/nowhere", "--datasets-dir=/nowhere", "--render-config.depths", "--json"])
    main(["status", "/nowhere"])
importlib.import_module("visionsim.simulation.writer")

for kind in ("transforms", "info"):
    with contextlib.suppress(SchemaError):
        check_schema(kind, {})
