"""Keep the files of the chosen kind: NAME.KIND.EXT becomes NAME.EXT, those of the other kinds go."""

from pathlib import Path

CHOSEN = "{{ cookiecutter.kind }}"

for kind in ("task", "job", "declarative"):
    for path in sorted(Path.cwd().rglob(f"*.{kind}.*")):
        if kind == CHOSEN:
            path.rename(path.with_name(path.name.replace(f".{kind}.", ".")))
        else:
            path.unlink()
