"""Programs that contributors or users run from a checkout; none of them is part of the installed program."""
