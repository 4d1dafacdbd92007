"""From two folders to a checkpoint."""
