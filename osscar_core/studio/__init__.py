"""What the web app stands on; nothing here but the worker imports torch."""
