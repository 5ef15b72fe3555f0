"""A small storage ring to try the interlock on; a process of its own, no part of the plugin."""
