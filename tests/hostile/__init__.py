"""What somebody hostile could put into a store, as programs that make it."""
