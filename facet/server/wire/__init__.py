"""Between the wire and the rooms below: messages, validation, statuses."""
