"""Enrolment: a face becomes a template of a subject."""
