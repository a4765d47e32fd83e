"""`python -m visionsim` is the `visionsim` program."""

import sys

from visionsim.cli import main

if __name__ == "__main__":
    sys.exit(main())
