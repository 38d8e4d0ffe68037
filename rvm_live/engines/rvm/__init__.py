"""RobustVideoMatting, written anew from the paper and the shapes of the official checkpoints."""
