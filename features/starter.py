"""The files of a new workspace, as `attune init` writes them and `examples/shop/` shows them."""

STARTER = {
    "attune.yaml": """\
# A workspace of Attune. An unknown key is an error that names the nearest known one.
name: shop
timezone: Europe/Berlin   # reports speak in this zone; times are kept in UTC
currency: EUR             # other currencies are refused unless `rates` names them, e.g. rates: {USD: 0.92}
traits: [age_group, city, newsletter]   # traits of Identify events that become features
interactions:
  weights: {Product Viewed: 0.1, Product Added: 0.3, Order Completed: 1.0}
  half_life_days: 180
recommender:
  models: [popularity, neighbours, graph-filter, als, repeat, ranker]
  horizon_days: 28        # the last four weeks judge what the weeks before taught
  k: 10
  include_bought: mixed   # never: only what is new; only: buy again; mixed: the new, and what is bought again and again
  fatigue: 10             # answers in which a customer took no notice of an item, until it comes last; 0: never
  variety: 0              # 0: the model's own order; up to 1: items less alike, at the cost of accuracy
uplift:
  outcome: conversion     # or revenue, or an outcome of the imported log
  window_days: 14
offers:
  policy: epsilon         # or greedy; budgeted (after `attune plan`); thompson
  exploration: 0.1        # epsilon: share of decisions drawn evenly, so that the next model has something to learn from
  holdout: 0.05           # share of customers who never get an offer
""",
    "offers.yaml": """\
# What a customer can be given. Money in the workspace's currency.
# value: margin of one extra outcome; cost: of one contact, whatever happens; redemption_cost: of one outcome with the
# offer, also by those who would have bought anyway; budget (money) and stock (contacts): the most that is given out;
# codes: one per customer, from a file, e.g. codes: codes/summer.txt (docs/service.md).
# eligible: for whom, by docs/conditions.md; e.g. eligible: {event: Order Completed, within: 90d}. Without it: for all.
offers:
  - {key: percent-10, name: 10 % off, channel: email, value: 20.0, cost: 0.30}
  - {key: free-shipping, name: Free shipping, channel: email, value: 20.0, cost: 0.20}
""",
    "experiments/checkout-badge.yaml": """\
# A test: customers are assigned by a hash, the same answer everywhere and for ever.
key: checkout-badge
description: Does the new layout of the product page sell more?
arms: {control: 0.5, treatment: 0.5}
window_days: 14
""",
}
