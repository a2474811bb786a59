"""The verbs of the ground floor, joined: each imports what it needs when it runs."""

from features.cli.files import imports
from features.cli.opened import WorkspaceOption, opened
from features.cli.senders import keys
from features.cli.verbs import app

__all__ = ["WorkspaceOption", "app", "imports", "keys", "opened"]

app.add_typer(imports, name="import")
app.add_typer(keys, name="keys")
