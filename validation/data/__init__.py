"""Published measurements."""
