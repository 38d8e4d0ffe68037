"""What a contributor or a user runs from a checkout; none of it is part of the installed program."""
