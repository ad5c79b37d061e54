"""What is tried where the package is installed, and nothing else of it is there."""
