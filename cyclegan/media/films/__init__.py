"""Films: read and written with PyAV."""
