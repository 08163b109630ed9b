"""Operators on images and regions of them."""
