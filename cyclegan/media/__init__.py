"""Files to frames and frames to files: PIL and numpy, never torch."""
