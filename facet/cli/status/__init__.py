"""``facet status``: a server's health, load, throughput, errors, galleries, models, latencies and drift."""
