"""``facet gallery``: backups and transfers of galleries."""
