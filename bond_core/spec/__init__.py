"""The stream spec: what a stream is, as data. Read it, write it, name it by its content."""
