"""Keys that stand in pages: whose pages, what signs their customers; and how often a key may ask."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Adds the columns; a key from before keeps its role."""
    op.add_column("keys", sa.Column("origins", sa.Text))
    op.add_column("keys", sa.Column("secret", sa.String(64)))
    op.add_column("keys", sa.Column("per_second", sa.Integer))
