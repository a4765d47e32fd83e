"""`python -m visionsim` is the `visionsim` program."""

if __name__ == "__main__":  # Not in the processes of a pool, which import this file too.
    import sys

    from visionsim.cli import main

    sys.exit(main())
