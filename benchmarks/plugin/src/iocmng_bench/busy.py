"""A task that computes in pure Python without pause, which holds the interpreter as long as it is let."""

from iocmng import TaskBase


class Busy(TaskBase):
    """Never waits, but says that it makes progress and leaves when it is asked to."""

    def execute(self):
        number = 0
        while not self.stopping:
            for _ in range(100_000):
                number = (number * 1103515245 + 12345) % 2147483648
            self.keepalive()
