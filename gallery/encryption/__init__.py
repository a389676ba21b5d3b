"""Encryption of what is stored about people: master keys, the data keys of galleries, sealed values, and age files."""
