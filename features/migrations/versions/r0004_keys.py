"""Keys of those who send, and the events that were not taken, with their reasons."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite counts up in a column of type INTEGER only


def upgrade() -> None:
    """Creates the tables and their indexes."""
    op.create_table(
        "keys",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(8), nullable=False, unique=True),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("revoked_at", sa.DateTime),
    )
    op.create_table(
        "rejects",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("received_at", sa.DateTime, nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("customer", sa.String(256)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("rejects_customer", "rejects", ["customer"])
