"""What is particular to the formats of pictures and animations: PIL and bytes."""
