"""Sources: one file each, from what somebody has to events, exposures or interactions."""

ONLINE_RETAIL = "online-retail"  # named apart from its file, which is heavy: an import that was made is known without
