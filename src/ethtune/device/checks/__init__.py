"""What can go wrong before a run, a judgement a check: facts in, verdicts out, no change."""
