"""The registry of feature families: a new family is one file here and one line below."""

from features.customers import affinity, engagement, lifecycle, profile, recency, spend
from features.customers.base import Family

FAMILIES: dict[str, Family] = {
    "recency": recency.FAMILY,
    "spend": spend.FAMILY,
    "engagement": engagement.FAMILY,
    "affinity": affinity.FAMILY,
    "lifecycle": lifecycle.FAMILY,
    "profile": profile.FAMILY,
}
