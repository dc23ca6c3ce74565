"""`mahalla check`: every problem of a configuration, then what is sent to whom."""
