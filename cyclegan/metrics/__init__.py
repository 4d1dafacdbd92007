"""How far translated pictures are from real ones: features of pictures, and distances between sets of features."""
