"""How fast this machine trains and translates, and how fast it could: cases, their timing, and the machine's floor."""
