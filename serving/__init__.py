"""Decides, answers, delivers, measures: may import training and features."""
