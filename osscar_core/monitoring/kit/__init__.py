"""What is copied into a monitoring kit as it stands.

The decision hidden here: what works without this package. Nothing below imports it.
"""
