"""Words: how things are counted in a sentence."""


def many(count: int, noun: str) -> str:
    """A count of things.

    >>> many(1, "customer"), many(2_000, "customer")
    ('1 customer', '2,000 customers')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"
