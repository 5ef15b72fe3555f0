"""`python -m iocmng` is `iocmng run` for environments without console scripts."""

from __future__ import annotations

import sys

from iocmng.host.boot import run

if __name__ == "__main__":
    sys.exit(run({}))
