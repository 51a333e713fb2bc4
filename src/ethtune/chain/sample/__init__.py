"""Synthetic mainnet-like traffic: real contracts, calls and event layouts, invented amounts.

For trying the tool without data and for tests; the same seed gives the same bytes.
"""
