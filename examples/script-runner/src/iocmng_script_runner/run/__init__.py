"""Any script of an allowed folder as a job: config.yaml is all there is."""
