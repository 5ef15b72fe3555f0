"""Import path of iocmng 2.x."""

from iocmng.base.channelfinder import ChannelFinderClient

__all__ = ["ChannelFinderClient"]
