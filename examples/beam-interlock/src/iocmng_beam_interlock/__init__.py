"""The plugin `beam-interlock`: everything it does stands in config.yaml; `simulation` is a machine to try it on."""
