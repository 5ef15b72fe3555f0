"""Scan the power of each band and find where its response is best.

It runs as a job of iocmng and as well from a shell: without IOCMNG_PROGRESS_FD it only prints.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import signal
import sys
import time

LOWEST, HIGHEST = -10.0, 10.0


def response(band: int, power: float) -> float:
    """What the resonators of a band would answer, in dB; a real script asks the crate."""
    best = 4.0 * math.sin(1.3 * band)
    return -((power - best) ** 2) / (4.0 + band)


def report(**what: object) -> None:
    """Tell the host progress (0 to 1), a message, or data."""
    if channel := os.environ.get("IOCMNG_PROGRESS_FD"):
        os.write(int(channel), json.dumps(what, allow_nan=False).encode() + b"\n")


def scan(band: int, step: float, dwell: float) -> tuple[float, float]:
    """Return the best power of a band and the response there."""
    points = int((HIGHEST - LOWEST) / step) + 1
    found = (LOWEST, -math.inf)
    for point in range(points):
        power = LOWEST + point * step
        time.sleep(dwell)
        if (now := response(band, power)) > found[1]:
            found = (power, now)
    return found


def main() -> int:
    """Tune all bands asked for; the amplifiers are off at the end, whatever happens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bands", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--step", type=float, default=0.5, help="dB")
    parser.add_argument("--dwell", type=float, default=0.0, help="seconds at each point")
    given = parser.parse_args()
    if wrong := [band for band in given.bands if not 0 <= band <= 7]:
        print(f"there is no band {wrong[0]}: bands are 0 to 7", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    found = []
    try:
        for done, band in enumerate(given.bands):
            report(progress=done / len(given.bands), message=f"band {band}")
            power, best = scan(band, given.step, given.dwell)
            print(f"band {band}: {power:+.2f} dB")
            found.append({"band": band, "power": power, "response": best})
            report(data={"bands": found})
    finally:
        print("amplifiers off")
    with open("bands.csv", "w", newline="") as file:
        table = csv.DictWriter(file, ("band", "power", "response"))
        table.writeheader()
        table.writerows(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
