"""The PostgreSQL store: galleries in a database that is backed up, replicated and understood."""
