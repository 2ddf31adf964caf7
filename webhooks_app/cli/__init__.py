"""The shell's commands, and the processes that they start. Imports everything."""
