"""Who may call, and what surrounds every call."""
