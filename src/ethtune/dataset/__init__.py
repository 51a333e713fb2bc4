"""Transactions and intents in, training examples, tokens and packed rows out. No torch."""
