"""`python -m iocmng_beam_interlock.simulation`."""

from iocmng_beam_interlock.simulation.ioc import main

main()
