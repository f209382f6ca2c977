"""fastad."""
