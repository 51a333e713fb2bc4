"""Facts and texts that ship with the package."""
