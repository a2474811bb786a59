"""Fits, judges, releases: may import features."""
