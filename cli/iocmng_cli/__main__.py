"""`python -m iocmng_cli`."""

from __future__ import annotations

from iocmng_cli.main import main

main()
