"""Reports and run states in, screens out. The only importer of Rich."""
