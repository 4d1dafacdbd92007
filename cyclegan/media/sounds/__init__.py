"""Sounds: files become waveforms and back, and films are dubbed, with PyAV."""
