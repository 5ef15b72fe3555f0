"""Installing plugins beside a running host: resolve, build, stage generations, choose between them."""
