"""{{ cookiecutter.description|replace('\\', '\\\\')|replace('"', '\\"') }}."""
