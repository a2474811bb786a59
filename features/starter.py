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
# yaml-language-server: $schema=offers.schema.json
# What a customer can be given. Money in the workspace's currency.
# value: margin of one extra outcome; cost: of one contact, whatever happens; redemption_cost: of one outcome with the
# offer, also by those who would have bought anyway; budget (money) and stock (contacts): the most that is given out;
# codes: one per customer, from a file, e.g. codes: codes/summer.txt (docs/service.md).
# eligible: for whom, by docs/conditions.md; e.g. eligible: {segment: at-risk} of segments/. Without it: for all.
offers:
  - {key: percent-10, name: 10 % off, channel: email, value: 20.0, cost: 0.30}
  - {key: free-shipping, name: Free shipping, channel: email, value: 20.0, cost: 0.20}
""",
    "placements.yaml": """\
# yaml-language-server: $schema=placements.schema.json
# Places that ask for items: POST /v1/recommend {"placement": "product-page", ...} (docs/service.md).
# What a placement says a request need not say; what a request says goes before it.
placements:
  home-page:
    description: For whoever comes in
    k: 8
    variety: 0.2
  product-page:
    description: Beside the item that is looked at
    k: 4
    steps: [similar, session, popular-in-category]   # one answers what the one before left empty; popular ends them
    budget_ms: 150        # a step that takes longer is cut, and the next one answers
    # boost: [{where: {item: price, at_most: 20}, by: 1.5}]
    # pinned: [{key: summer, items: [i0001], positions: [2], share: 0.5}]   # a promotion, for half of the customers
""",
    "experiments/checkout-badge.yaml": """\
# yaml-language-server: $schema=schema.json
# A test: customers are assigned by a hash, the same answer everywhere and for ever.
key: checkout-badge
description: Does the new layout of the product page sell more?
arms: {control: 0.5, treatment: 0.5}
window_days: 14
""",
    "segments/lifecycle.yaml": """\
# yaml-language-server: $schema=schema.json
# Where a customer stands: each who ever ordered is in exactly one (the feature `stage` says the same).
# An offer is for a segment by `eligible: {segment: at-risk}`; `attune segments` shows sizes, overlaps and movement.
segments:
  - key: new
    description: First order in the last 30 days
    who: {all: [{event: Order Completed}, {event: Order Completed, before: 30d, count: {at_most: 0}}]}
  - key: loyal
    description: Three orders in 180 days, one of them in the last 90
    who:
      all:
        - {event: Order Completed, before: 30d}
        - {event: Order Completed, within: 90d}
        - {event: Order Completed, within: 180d, count: {at_least: 3}}
  - key: active
    description: An order in the last 90 days, not new and not loyal
    who: {all: [{event: Order Completed, within: 90d}, {not: {any: [{segment: new}, {segment: loyal}]}}]}
  - key: at-risk
    description: The last order is 90 to 180 days ago
    who:
      all:
        - {event: Order Completed, within: 180d}
        - {event: Order Completed, within: 90d, count: {at_most: 0}}
  - key: lapsed
    description: No order for 180 days
    who: {all: [{event: Order Completed}, {event: Order Completed, within: 180d, count: {at_most: 0}}]}
""",
    "segments/rfm.yaml": """\
# yaml-language-server: $schema=schema.json
# Recency, frequency and money of the last year, in bands: set them by what your shop sells.
segments:
  - {key: recency-high, description: Ordered in the last 30 days, who: {event: Order Completed, within: 30d}}
  - key: recency-middle
    description: The last order is 30 to 120 days ago
    who: {all: [{event: Order Completed, within: 120d}, {not: {segment: recency-high}}]}
  - key: recency-low
    description: The last order is 120 days to a year ago
    who:
      all:
        - {event: Order Completed, within: 365d}
        - {event: Order Completed, within: 120d, count: {at_most: 0}}
  - key: frequency-high
    description: Six orders or more
    who: {event: Order Completed, within: 365d, count: {at_least: 6}}
  - key: frequency-middle
    description: Two to five orders
    who: {event: Order Completed, within: 365d, count: {at_least: 2, at_most: 5}}
  - key: frequency-low
    description: One order
    who: {event: Order Completed, within: 365d, count: {at_least: 1, at_most: 1}}
  - key: money-high
    description: Ordered for 500 or more
    who: {event: Order Completed, within: 365d, money: {at_least: 500}}
  - key: money-middle
    description: Ordered for 100 up to 500
    who: {all: [{event: Order Completed, within: 365d, money: {at_least: 100}}, {not: {segment: money-high}}]}
  - key: money-low
    description: Ordered for less than 100
    who: {all: [{event: Order Completed, within: 365d}, {not: {any: [{segment: money-high}, {segment: money-middle}]}}]}
  - key: best
    description: The highest band of all three
    who: {all: [{segment: recency-high}, {segment: frequency-high}, {segment: money-high}]}
""",
    "segments/demographics.yaml": """\
# yaml-language-server: $schema=schema.json
# Who they are, by what they or the CRM told (traits of Identify).
segments:
  - {key: young, description: 18 to 34 years old, who: {trait: age_group, is: 18-34}}
  - key: city-dwellers
    description: In one of our three largest cities
    who: {trait: city, in: [Berlin, Hamburg, Lyon]}
  - key: nothing-told
    description: No trait is known
    who: {all: [{trait: age_group, exists: false}, {trait: city, exists: false}]}
""",
    "segments/source.yaml": """\
# yaml-language-server: $schema=schema.json
# Where they come from: the channel and the campaign of what they did.
segments:
  - key: from-email
    description: Came by an e-mail in the last 30 days
    who: {event: Email Link Clicked, within: 30d}
  - key: web-only
    description: Looked at products on the web, and never came by an e-mail
    who: {all: [{event: Product Viewed, where: {channel: web}}, {event: Email Link Clicked, count: {at_most: 0}}]}
""",
    "segments/intent.yaml": """\
# yaml-language-server: $schema=schema.json
# What they are about to do.
segments:
  - key: high-intent
    description: Looked at one item three times in a week, and has not ordered since
    who: {event: Product Viewed, within: 7d, same: item, count: {at_least: 3}, since: {event: Order Completed}}
  - key: cart-abandoner
    description: Put something into the cart this week, more than an hour ago, and has not ordered since
    who: {event: Product Added, within: 7d, before: 1h, since: {event: Order Completed}}
""",
    "slots/home-hero.yaml": """\
# yaml-language-server: $schema=schema.json
# The top of the landing page: POST /v1/decide {"slot": "home-hero", "customer": ...} (docs/content.md).
# The first content whose audience holds is shown, else the default of each element.
kind: landing
description: The top of the landing page
holdout: 0.1              # share of customers who see the default, so that there is somebody to compare with
items: {k: 3}             # beside the default: what is popular
elements:
  headline: {default: Welcome to our shop}
  text: {default: Have a look at what is popular.}
  cta: {default: Look around}
contents:
  - key: cart
    description: Something waits in the cart
    audience: {segment: cart-abandoner}
    items: {k: 3}
    elements:
      headline:
        - {key: waiting, text: Your cart is waiting, share: 0.5}
        - {key: finish, text: "Finish what you began{% if traits.city %} in {{ traits.city }}{% endif %}", share: 0.5}
      cta: [{key: cart, text: To your cart}]
  - key: win-back
    description: The last order is long ago
    audience: {any: [{segment: at-risk}, {segment: lapsed}]}
    items: {k: 3, include_bought: mixed}
    # offers: [percent-10, free-shipping]   # of offers.yaml: one of them or none, as /v1/offers/select decides
    elements:
      headline: [{key: missed, text: We missed you}]
      text:
        - key: offer
          text: "{% if offer %}{{ offer.name }} on your next order.{% else %}See what is new.{% endif %}"
  - key: by-source
    description: They came by one of our mails
    audience: {segment: from-email}
    elements:
      headline: [{key: mail, text: Nice that you followed our mail}]
""",
    "slots/weekly-mail.yaml": """\
# yaml-language-server: $schema=schema.json
# The body of a mail, from a file of templates/.
kind: email
description: What we recommend this week
purpose: marketing
items: {k: 4}
elements:
  subject: {default: News from our shop}
  body: {default: {template: weekly-mail.liquid}}
contents:
  - key: personal
    items: {k: 4, variety: 0.2}
    elements:
      subject:
        - {key: item, text: "{{ items[0].name }} and more for you", share: 0.5}
      body: [{key: personal, text: {template: weekly-mail.liquid}}]
""",
    "templates/weekly-mail.liquid": """\
<h1>This week</h1>
<ul>
{%- for item in items %}
  <li>{{ item.name }}{% if item.price %}, {{ item.price | price: "en" }}{% endif %}</li>
{%- endfor %}
</ul>
""",
}
