"""A shop with a planted truth: what customers like, what they buy again, and what an offer does to each of them."""
