"""Puts things on a terminal, or in a pipe. Only `live` imports rich, and only a live view imports `live`."""
