"""States: what features need of each customer, kept up to date event by event instead of read from the whole log.

state.py     one customer's state, without a clock, and how events are folded into it
store.py     the states in the ledger, and up to where history and ledger are in them
refresh.py   new events into the states of their customers
rebuild.py   states from the log: at first, and where files brought events
served.py    the feature table of some customers at a moment, from their states
"""
