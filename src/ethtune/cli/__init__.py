"""One command a file: parse, compose config, call one service, show, exit."""
