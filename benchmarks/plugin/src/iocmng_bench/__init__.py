"""Tasks whose cycles the benchmarks measure."""
