"""Import paths of iocmng 2.x, re-exports only."""
