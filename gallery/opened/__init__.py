"""The galleries that a server has open: what searches and enrolments need of them, without asking the store."""
