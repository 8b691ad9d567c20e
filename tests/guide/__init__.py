"""The examples of the presence guide, and their tests for each host."""
