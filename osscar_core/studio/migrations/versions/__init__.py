"""One revision a file, named by the schema that it leads to."""
