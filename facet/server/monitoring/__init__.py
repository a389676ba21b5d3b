"""What searches look like over time: counted, stored by hour, and compared with a reference period."""
