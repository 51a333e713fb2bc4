"""One verb a file: each joins the stages of the packages below and returns a report."""
