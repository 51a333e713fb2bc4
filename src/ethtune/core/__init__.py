"""Records, config, events and errors that every other package speaks; knows none of them."""
