"""Subcommands, each the function ``command`` of its module; ``cli.COMMANDS`` lists them."""
