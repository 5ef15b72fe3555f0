"""The site file, the environment and the command line, merged with the origin of each setting."""
