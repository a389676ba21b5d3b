"""Connections to PostgreSQL, and the tables behind them."""
