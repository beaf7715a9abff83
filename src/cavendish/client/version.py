"""The version of the client, which is the version of the server that it comes with."""

__version__ = "0.1.0"
