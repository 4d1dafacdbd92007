"""From a checkpoint and files to files."""
