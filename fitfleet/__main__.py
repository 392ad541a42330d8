"""`python -m fitfleet` is the command line."""

from __future__ import annotations

from fitfleet.cli.main import main

if __name__ == "__main__":
    main()
