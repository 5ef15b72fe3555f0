"""A chiller that is simulated: it cools towards its set-point, and says so."""

from iocmng import TaskBase


class Chiller(TaskBase):
    """Writes a temperature that follows the set-point with a time constant, in kelvin and seconds."""

    def initialize(self):
        self.temperature = 293.0

    def execute(self):
        step = self.parameters["interval"] / self.parameters["time_constant"]
        self.temperature += step * (self.get_input("SETPOINT") - self.temperature)
        self.set_output("TEMPERATURE", self.temperature)
        self.set_output("COOLING", self.temperature > self.get_input("SETPOINT") + 0.5)
