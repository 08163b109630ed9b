"""Random numbers and windows."""
