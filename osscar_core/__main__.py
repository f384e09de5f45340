"""Entry point of ``python -m osscar_core``."""

from __future__ import annotations

import sys

from osscar_core.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
