"""`mahalla schema`: the events, the configuration and the topics, from the code's own tables."""
