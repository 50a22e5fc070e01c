"""Whet's version, kept here: asking the installed package for it would cost the server's start a
twentieth."""

__version__ = "0.1.0"
