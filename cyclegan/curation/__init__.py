"""Know your folders: what is odd, what is there twice, what is rare. Mathematics on tensors; rows are pictures."""
