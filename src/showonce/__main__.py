"""`python -m showonce` is `showonce`."""

from __future__ import annotations

import sys

from showonce.cli import main

if __name__ == "__main__":
    sys.exit(main())
