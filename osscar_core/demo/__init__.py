"""How the demo's models and pictures were made: scripts, each run with ``python -m``.

The decision hidden here: none yet needs sharing beyond what its modules say; nothing in
the rest of the package depends on this one.
"""
