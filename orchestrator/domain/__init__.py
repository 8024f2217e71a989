"""What Tideover decides, as pure functions over frozen values: no clock, no I/O, no vendor."""
