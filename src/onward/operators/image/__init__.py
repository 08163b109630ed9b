"""Operators on encoded pictures."""
