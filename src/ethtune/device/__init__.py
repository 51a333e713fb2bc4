"""This machine: GPUs, host, child processes, and what a run costs on it. No torch in-process."""
