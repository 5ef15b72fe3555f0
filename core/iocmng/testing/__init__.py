"""The authors' test kit: run a task or job with fake records and a virtual clock."""
