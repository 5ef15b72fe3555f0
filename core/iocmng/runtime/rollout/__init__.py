"""Instances that come and go while the host runs: exchanged, confirmed, taken back."""

from iocmng.runtime.rollout.confirm import confirm
from iocmng.runtime.rollout.exchange import Exchange, hanging, with_values

__all__ = ["Exchange", "confirm", "hanging", "with_values"]
