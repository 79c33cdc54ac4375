"""What can be taken along: for now, the code that does the same as a cell without Tuner."""
