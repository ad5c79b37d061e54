"""`keras-ckpt export`, `import`, `report`: into the store, and out of it."""
