"""Predicted text in, field metrics out."""
