"""What is done with the repository itself, not with models: lists of what it depends on."""
