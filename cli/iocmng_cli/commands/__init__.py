"""One module per command or group of commands; each has a Typer `app`."""
