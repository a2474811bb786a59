"""What features need of each customer, and up to where history and ledger are in it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # as in the first schema


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "customer_states",
        sa.Column("customer", sa.String(256), primary_key=True),
        sa.Column("sequence", NUMBER, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "state_marks",
        sa.Column("turn", NUMBER, primary_key=True),
        sa.Column("kept", sa.Text, nullable=False),
        sa.Column("version", NUMBER, nullable=False),
        sa.Column("sequence", NUMBER, nullable=False),
    )
    op.create_table("devices_of_nobody", sa.Column("customer", sa.Text, primary_key=True))
