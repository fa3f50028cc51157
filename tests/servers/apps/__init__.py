"""The programs that some of the servers consist of; each runs in a process of its own."""
