"""Pages for the shopper: unsubscribe, preferences, and why this is shown."""
