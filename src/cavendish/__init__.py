"""Cavendish: a self-hosted image-generation API."""

__version__ = "0.1.0"
