"""The live catalogue: what items became since the files were written."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Creates the table and its index."""
    op.create_table(
        "items",
        sa.Column("item", sa.String(256), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("items_version", "items", ["version"])
