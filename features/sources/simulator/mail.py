"""The weekly mail of one chunk: delivered, opened by people and by machines, clicked."""

from __future__ import annotations

import numpy as np

from features import events
from features.sources.simulator.customers import Customers
from features.sources.simulator.rows import Rows, joined, rows
from features.sources.simulator.world import World

WEEK = 7
SEND_WEEKDAY = 3  # days after the week began
SEND_HOUR = 8 / 24
MINUTE = 1 / 1440


def draw_mail(world: World, customers: Customers, rng: np.random.Generator, days: int) -> Rows:
    """Every week's mail to the customers who take the newsletter."""
    week, customer = np.divmod(np.arange((days // WEEK) * len(customers)), len(customers))
    sent = week * WEEK + SEND_WEEKDAY + SEND_HOUR
    reached = customers.newsletter[customer] & (sent > customers.joined[customer])
    week, customer, sent = week[reached], customer[reached], sent[reached]
    machine = customers.machine[customer]
    opened = rng.random(len(sent)) < customers.opens[customer]
    clicked = opened & (rng.random(len(sent)) < world.click)
    read = sent + np.minimum(rng.exponential(0.3, len(sent)), 2.0)
    fetched = sent + rng.uniform(0, MINUTE, len(sent))
    every = [
        rows(events.DELIVERED, customer, sent, mail=week),
        rows(events.OPENED, customer[machine], fetched[machine], mail=week[machine], machine=machine[machine]),
        rows(events.OPENED, customer[opened], read[opened], mail=week[opened]),
        rows(events.CLICKED, customer[clicked], read[clicked] + MINUTE, mail=week[clicked]),
    ]
    together = joined(every)
    return together.take(together.time < days)
