"""Raw exports in, intents out: readers, signatures, decoding. Knows no model and no dataset."""
