"""Paint a small world of horses and zebras, and learn one from the other in two minutes."""
