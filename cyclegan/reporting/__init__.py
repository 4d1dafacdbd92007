"""Reads what trainings wrote down and shows it to people; never torch, so that an answer takes no second."""
