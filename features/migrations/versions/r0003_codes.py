"""The codes of offers, and what was given out of each offer."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Creates the tables and their indexes."""
    op.create_table(
        "codes",
        sa.Column("code", sa.String(128), primary_key=True),
        sa.Column("offer", sa.String(64), nullable=False),
        sa.Column("customer", sa.String(256)),
        sa.Column("free_from", sa.DateTime),
        sa.Column("redeemed_at", sa.DateTime),
        sa.Column("redemption_cost", sa.Float, nullable=False),
        sa.Column("of_revenue", sa.Boolean, nullable=False),
    )
    op.create_index("codes_offer_free", "codes", ["offer", "free_from"])
    op.create_index("codes_offer_customer", "codes", ["offer", "customer"])
    op.create_table(
        "spendings",
        sa.Column("offer", sa.String(64), primary_key=True),
        sa.Column("contacts", sa.BigInteger, nullable=False),
        sa.Column("redemptions", sa.BigInteger, nullable=False),
        sa.Column("spent", sa.Float, nullable=False),
    )
