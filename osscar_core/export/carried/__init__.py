"""Files that are copied into what is exported; nothing here is imported by the rest."""
