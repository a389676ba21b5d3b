"""What several evaluations share: options, runs, sets, and what they print."""
