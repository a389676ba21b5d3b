"""The audit log: who did what to which gallery, in files that show whether they were changed."""
