"""Programs to run from a clone. The code behind them is in the packages."""
