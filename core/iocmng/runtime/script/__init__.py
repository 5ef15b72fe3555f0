"""Scripts as processes of their own: what is run, how it is followed and ended, and what a crash leaves."""
