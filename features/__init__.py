"""What happened, and what we know: imports neither training nor serving."""
